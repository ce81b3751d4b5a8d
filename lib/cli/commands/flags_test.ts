/** No flag is accepted and then ignored. */
import { assert, assertEquals, assertNotEquals } from "../../../tests/assert.ts";
import { importsOf } from "../../../tests/support/imports.ts";
import type { ReplayOptions } from "../../replay/replay.ts";
import { aggregatorOptions } from "../aggregator_options.ts";
import { AGGREGATOR_FLAGS } from "../flags/flows.ts";
import type { Flag } from "../flags/kinds.ts";
import { COMMANDS, parseCommandLine } from "./mod.ts";

type Name = keyof typeof COMMANDS;

const NAMES = Object.keys(COMMANDS) as Name[];

/** What a command cannot be without. */
const REQUIRED: Partial<Record<Name, string[]>> = {
  measure: ["1"],
  replay: ["some.pcap"],
  history: ["top", "--store", "f.db"],
  agent: ["--server", "127.0.0.1:1"],
  completions: ["bash"],
};

const CERTIFICATE = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
const NATS = ["--nats", "nats://h:1"];
const NATS_CERTIFICATE = [...NATS, "--nats-tls-cert", "cert.pem", "--nats-tls-key", "key.pem"];

/** Flags that mean something together with others only, and these others. */
const TOGETHER: Record<string, string[]> = {
  "monitor --store-max-mb": ["--store", "f.db"],
  "monitor --store-rows": ["--store", "f.db"],
  "monitor --retention": ["--store", "f.db"],
  "monitor --sampling": ["--activity"],
  "monitor --watch-config": ["--rules", "other.json"],
  "events --watch-config": ["--config", "other.json"],
  "pipeline --rate": ["--simulate", "1"],
  "pipeline --no-kernel": ["--simulate", "1"],
  "pipeline --enrich-workers": ["--placement", "fan-out"],
  "pipeline --distribution": ["--placement", "fan-out"],
  "agent --watch-config": ["--rules", "other.json"],
  "agent --spool-mb": ["--spool", "folder"],
  "agent --tls-cert": CERTIFICATE,
  "agent --tls-key": CERTIFICATE,
  "agent --tls-server-name": CERTIFICATE,
  "serve --tls-ca": CERTIFICATE,
  "serve --tls-cert": CERTIFICATE,
  "serve --tls-key": CERTIFICATE,
  "serve --agent-from-certificate": [...CERTIFICATE, "--tls-ca", "ca.pem"],
  "serve --nats-tls-ca": NATS,
  "serve --nats-tls-cert": NATS_CERTIFICATE,
  "serve --nats-tls-key": NATS_CERTIFICATE,
  "serve --nats-creds": NATS,
  "serve --nats-replicas": NATS,
  "serve --nats-partitions": NATS,
  "serve --nats-max-mb": NATS,
  "serve --correlate-only": NATS,
  "serve --no-correlate": NATS,
};

/** Values for flags whose text is looked at together with others. */
const VALUES: Record<string, string> = {
  filter: "tcp",
  where: "tcp",
  rules: "f.json",
  config: "f.json",
  "correlation-rules": "correlation.json",
  "agent-filter": "filter.json",
  "ring-max": "33554432",
  "nats-replicas": "3",
};

/** Texts of which one suits any other flag that takes a value, and is not its default. */
const TEXTS = [
  ...["7", "32", "4096", "127.0.0.1:7", "nats://h:1", "1s=1h", "openat", "pid:1", "http://h/", "-2h"],
  ...["port=80/tcp", "10.0.0.0/8"],
];

const FILES: Record<string, string> = {
  "f.json": '{"rules": []}',
  "other.json": '{"rules": []}',
  "correlation.json": JSON.stringify({
    rules: [{
      ...{ name: "n", kind: "burst", match: { event: "process_exec" }, per: "container", threshold: 5 },
      ...{ window_ms: 1000, severity: "error", sentence: "many" },
    }],
  }),
  "filter.json": "{}",
};

function parse(command: Name, words: string[]): Record<string, unknown> {
  const parsed = parseCommandLine([command, ...words], (path) => FILES[path]);
  assert("options" in parsed);
  return parsed.options as Record<string, unknown>;
}

function flagsOf(command: Name): [option: string, flag: Flag][] {
  const table: Record<string, Flag> = COMMANDS[command].spec.flags;
  return Object.entries(table).filter(([, flag]) => !("holdsFlags" in flag));
}

function asText(value: unknown): string {
  return JSON.stringify(value, (_key, value) => typeof value === "bigint" ? `${value}` : value);
}

/** The flag with a value that is not its default. */
function typed(flag: Flag): string {
  if (flag.value === null) return `--${flag.name}`;
  const candidates = flag.name in VALUES ? [VALUES[flag.name]] : flag.choices ?? TEXTS;
  const text = candidates.find((candidate) => {
    const value = flag.parse(candidate);
    return value !== undefined && asText(value) !== asText(flag.fallback);
  });
  assert(text !== undefined, `no text for --${flag.name}`);
  return `--${flag.name}=${text}`;
}

for (const command of NAMES) {
  Deno.test(`each flag of ${command} changes what it runs with`, () => {
    for (const [, flag] of flagsOf(command)) {
      const words = [...REQUIRED[command] ?? [], ...TOGETHER[`${command} --${flag.name}`] ?? []];
      assertNotEquals(parse(command, [...words, typed(flag)]), parse(command, words), `${command} --${flag.name}`);
    }
  });
}

/** Options that a command passes on as a whole, to code that knows them by these names. */
const PASSED_ON: Partial<Record<Name, string[]>> = {
  replay: ["windowMs", "flowsMax", "flowsLimit", "speed"] satisfies (keyof ReplayOptions)[],
};

/** Commands that print no notices, which `--quiet` would leave out. */
const WITHOUT_NOTICES: Name[] = ["history", "doctor", "detach"];

/** What a command's own code says: the module that runs it, and those of this folder that only it imports. */
async function codeOf(command: Name): Promise<string> {
  const path = `lib/cli/commands/${command}_run.ts`;
  const code = await Deno.readTextFile(path);
  const own = importsOf(path, code).filter((target) => target.startsWith(`lib/cli/commands/${command}_`));
  return [code, ...await Promise.all(own.map((target) => Deno.readTextFile(target)))].join("\n");
}

for (const command of NAMES) {
  Deno.test(`${command} uses each option that it runs with`, async () => {
    const code = await codeOf(command);
    const passedOn = [...PASSED_ON[command] ?? []];
    if (code.includes("aggregatorOptions(")) passedOn.push(...Object.keys(AGGREGATOR_FLAGS), "windowAuto", "libbpfUrl");
    if (WITHOUT_NOTICES.includes(command)) passedOn.push("quiet");
    // main.ts asks for it when a command fails.
    passedOn.push("debug");
    const unused = Object.keys(parse(command, REQUIRED[command] ?? []))
      .filter((option) => !passedOn.includes(option) && !new RegExp(`\\b${option}\\b`).test(code));
    assertEquals(unused, []);
  });
}

type Counting = Parameters<typeof aggregatorOptions>[0];

/** What the aggregator is asked for. */
async function asked(command: Name, words: string[]): Promise<Record<string, unknown>> {
  const options = parse(command, [...REQUIRED[command] ?? [], ...words]);
  return { ...await aggregatorOptions(options as unknown as Counting, ["eth0"]) };
}

for (const command of ["monitor", "agent", "measure"] as const) {
  Deno.test(`each flag of ${command} that is about counting reaches the aggregator as it was typed`, async () => {
    const known = Object.keys(AGGREGATOR_FLAGS);
    const flags = flagsOf(command).filter(([option]) => known.includes(option));
    assert(flags.length > 8);
    for (const [option, flag] of flags) {
      const wanted = flag.value === null ? !flag.fallback : flag.parse(typed(flag).split("=")[1]);
      assertEquals((await asked(command, [typed(flag)]))[option], wanted, flag.name);
    }
  });
}

Deno.test("monitor and agent ask the aggregator for the same when the same flags are given", async () => {
  const options = Object.keys(AGGREGATOR_FLAGS);
  const ofAgent = flagsOf("agent").map(([option]) => option);
  const shared = flagsOf("monitor").filter(([option]) => ofAgent.includes(option) && options.includes(option));
  const names = shared.map(([, { name }]) => name);
  assert(["max-flows", "max-flows-limit", "max-prefixes"].every((name) => names.includes(name)), names.join());
  const words = shared.map(([, flag]) => typed(flag));
  const [monitor, agent] = [await asked("monitor", words), await asked("agent", words)];
  for (const [option] of shared) assertEquals(agent[option], monitor[option], option);
});
