import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { UsageError } from "../flags/usage.ts";
import type { EventsOptions } from "./events.ts";
import { parseCommandLine } from "./mod.ts";

const RULES = "rules: [{ name: n, match: { uid: 0 }, severity: info }]";

function events(words: string, file = ""): EventsOptions {
  const parsed = parseCommandLine(["events", ...words.split(" ").filter((word) => word !== "")], () => file);
  assert(parsed.command === "events");
  return parsed.options;
}

/** The message without what every one has. */
function mistake(words: string, file = ""): string {
  const { message } = assertThrows(() => events(words, file), UsageError);
  const [, text] = /^ebpfmon events: (.*); see ebpfmon events --help$/.exec(message) ?? [];
  assert(text !== undefined, message);
  return text;
}

Deno.test("events without arguments has the documented defaults", () => {
  assertEquals(events(""), {
    json: false,
    quiet: false,
    debug: false,
    listen: { hostname: "127.0.0.1", port: 9464 },
    durationSeconds: null,
    ringBytes: { critical: 131_072, normal: 524_288, debug: 65_536 },
    ringBytesMax: 16_777_216,
    rateLimit: 50_000,
    repeatSuppression: true,
    isolate: [],
    only: { rings: [], events: [], pid: null, uid: null, comm: null },
    rules: { own: { rules: [] }, file: null, watch: false },
    apiTokenFile: null,
    debugDropRateMax: 0.5,
    failOnCriticalDrop: false,
    webhook: null,
    filter: "",
  });
});

Deno.test("events takes every flag", () => {
  const words = "--json --quiet --debug --listen off --duration 2 --ring-critical 4096 --ring-normal 8192 " +
    "--ring-debug 16384 --ring-max 32768 --rate-limit 0 --no-repeat-suppression --only debug,critical,debug " +
    "--event file_open --pid 7 --uid 0 --comm sshd --config f.yaml --watch-config --api-token-file t --debug-drop-alert 100 " +
    "--fail-on-critical-drop --webhook https://h/x --filter tcp";
  assertEquals(events(words, RULES), {
    json: true,
    quiet: true,
    debug: true,
    listen: null,
    durationSeconds: 2,
    ringBytes: { critical: 4096, normal: 8192, debug: 16_384 },
    ringBytesMax: 32_768,
    rateLimit: 0,
    repeatSuppression: false,
    isolate: [],
    only: { rings: ["debug", "critical"], events: ["file_open"], pid: 7, uid: 0, comm: "sshd" },
    rules: {
      own: { rules: [{ name: "n", match: { uid: 0 }, action: { set: "info" } }] },
      file: "f.yaml",
      watch: true,
    },
    apiTokenFile: "t",
    debugDropRateMax: 1,
    failOnCriticalDrop: true,
    webhook: "https://h/x",
    filter: "tcp",
  });
});

Deno.test("events refuses a bad value with what would be right", () => {
  const refused: [flag: string, values: string[]][] = [
    ["only", ["warning", "critical,", "critical normal"]],
    ["event", ["exec", "FILE_OPEN"]],
    ["pid", ["0", "-1", "2147483648", "x"]],
    ["uid", ["4294967295", "root"]],
    ["comm", ["1234567890123456", "éééééééé"]],
    ["ring-critical", ["0", "4095", "5000", "2048", "2147483648", "64k"]],
    ["webhook", ["h/x", "ftp://h/x", "https://"]],
  ];
  for (const [flag, values] of refused) {
    for (const value of values) {
      const { message } = assertThrows(() => parseCommandLine(["events", `--${flag}=${value}`], () => ""), UsageError);
      assert(message.startsWith(`ebpfmon events: --${flag} takes `), message);
    }
  }
  assertEquals(mistake("--ring-debug 8192 --ring-max 4096"), "--ring-critical 131072 is more than --ring-max 4096");
  assertEquals(mistake("--filter iface"), '--filter: "iface" at character 1 is for filters of flows, not of events');
  assertEquals(mistake("eth0"), 'unexpected argument "eth0"');
});

Deno.test("events reads rules from --config, as JSON where the name says so, and points at mistakes", () => {
  assertEquals(events("--config f.json", '{"rules":[]}').rules.own, { rules: [] });
  assertEquals(events("--config f.yaml", "rate_limit: 7").rules.own, { rules: [], rateLimit: 7 });
  assertEquals(mistake("--watch-config"), "--watch-config takes --config FILE");
  assertEquals(mistake("--config f.JSON", RULES), "f.JSON:1:1: not JSON: Unexpected token 'r'");
  assertEquals(mistake("--config f.yml", "\nrule: []"), 'f.yml:2:1: unknown key "rule", did you mean rules?');
  assertEquals(mistake("--config="), "--config takes the name of a file, got nothing");
  const gone = assertThrows(() =>
    parseCommandLine(["events", "--config", "f"], () => {
      throw new Error("No such file");
    }), UsageError);
  assertEquals(gone.message, 'ebpfmon events: cannot read --config "f": No such file; see ebpfmon events --help');
});
