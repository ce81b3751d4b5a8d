import { assert, assertEquals, assertObjectMatch, assertStringIncludes, assertThrows } from "../../../tests/assert.ts";
import { DEFAULT_ARRANGEMENT } from "../../aggregate/activity/process_reducer.ts";
import type { Flag } from "../flags/kinds.ts";
import { UsageError } from "../flags/usage.ts";
import type { MonitorOptions } from "./monitor.ts";
import { COMMANDS, parseCommandLine } from "./mod.ts";
import { EXIT } from "../exit.ts";

function noFile(path: string): string {
  throw new Error(`unexpected read of ${path}`);
}

function parse(...words: string[]) {
  return parseCommandLine(words, noFile);
}

function monitor(words: string[], config?: unknown): MonitorOptions {
  const parsed = parseCommandLine(["monitor", ...words], () => JSON.stringify(config));
  assert(parsed.command === "monitor");
  return parsed.options;
}

/** The message without what every one has. */
function mistake(words: string[], readFile = noFile): string {
  const { message } = assertThrows(() => parseCommandLine(words, readFile), UsageError);
  const [, text] = /^ebpfmon \w+: (.*); see ebpfmon \w+ --help$/.exec(message) ?? [];
  assert(text !== undefined, message);
  return text;
}

Deno.test("monitor without arguments has the documented defaults", () => {
  assertEquals(parse("monitor"), {
    command: "monitor",
    options: {
      interfaces: [],
      json: false,
      quiet: false,
      debug: false,
      listen: { hostname: "127.0.0.1", port: 9464 },
      durationSeconds: null,
      windowMs: 1000,
      topMax: 10,
      direction: "both",
      ingressMode: "auto",
      egressHook: "tcx",
      flowsMax: 131_072,
      flowsLimit: 1_048_576,
      prefixesMax: 16_384,
      order: "packets",
      windowAuto: false,
      values: "atomic",
      force: false,
      libbpfUrl: "",
      filter: "",
      flowsOnly: false,
      ipfix: null,
      rules: { own: { rules: [] }, file: null, watch: false },
      apiTokenFile: null,
      store: null,
      owners: true,
      activity: null,
    },
  });
});

Deno.test("monitor takes every flag, before, between and after interfaces", () => {
  const words = "--json eth0 --listen [::1]:0 --duration 1.5 --window=250 0eth --top 1 --direction egress --mode tcx " +
    "--egress-hook clsact --max-flows 7 --max-flows-limit 70 --max-prefixes 20 --sort packets --values percpu --force --quiet --debug --libbpf-url https://example.com/l.so " +
    "--flows-only --api-token-file t --store s.db --store-max-mb 16 --store-rows 5 --retention 1s=1h --no-owners --sampling 8 --process-metrics 3";
  assertEquals(monitor([...words.split(" "), "--filter", "tcp and port 80"]), {
    interfaces: ["eth0", "0eth"],
    json: true,
    quiet: true,
    debug: true,
    listen: { hostname: "::1", port: 0 },
    durationSeconds: 1.5,
    windowMs: 250,
    topMax: 1,
    direction: "egress",
    ingressMode: "tcx",
    egressHook: "clsact",
    flowsMax: 7,
    flowsLimit: 70,
    prefixesMax: 20,
    order: "packets",
    windowAuto: false,
    values: "percpu",
    force: true,
    libbpfUrl: "https://example.com/l.so",
    filter: "tcp and port 80",
    flowsOnly: true,
    ipfix: null,
    rules: { own: { rules: [] }, file: null, watch: false },
    apiTokenFile: "t",
    store: {
      path: "s.db",
      bytesMax: 16_000_000,
      rowsMax: 5,
      keepNs: [1n, 7n * 24n, 90n * 24n, 1825n * 24n].map((hours) => hours * 3_600_000_000_000n),
    },
    owners: false,
    activity: {
      ...DEFAULT_ARRANGEMENT,
      entriesMax: 8_192,
      entriesMaxLimit: 131_072,
      sampling: 8,
      topMax: 1,
      totalsMax: 3,
    },
  });
});

Deno.test("monitor --window auto leaves the length to the load", () => {
  assertEquals([monitor(["--window", "auto"])].map((o) => [o.windowAuto, o.windowMs]), [[true, 1000]]);
  assertEquals([monitor(["--window", "500"])].map((o) => [o.windowAuto, o.windowMs]), [[false, 500]]);
  assertEquals(mistake(["measure", "1", "--window", "auto"]), '--window takes 100 to 60000 milliseconds, got "auto"');
});

Deno.test("monitor --sort chooses what is large, but not for a store", () => {
  const orders = ["bytes", "resets", "new", "retransmits", "retransmit-share"];
  assertEquals(orders.map((order) => monitor(["--sort", order]).order as string), orders);
  assertEquals(
    mistake(["monitor", "--sort", "bytes", "--store", "s.db"]),
    "--store keeps the flows of most packets: no --sort bytes",
  );
});

Deno.test("measure takes seconds, then at most one interface", () => {
  assertObjectMatch(parse("measure", "2.5", "eth0", "--json"), {
    command: "measure",
    options: { seconds: 2.5, interfaces: ["eth0"], json: true, windowMs: 1000 },
  });
  assertObjectMatch(parse("measure", "10"), { options: { seconds: 10, interfaces: [] } });
  assertEquals(mistake(["measure"]), "SECONDS is missing");
  assertEquals(mistake(["measure", "eth0"]), 'SECONDS takes more than 0 and at most 2147483 seconds, got "eth0"');
  assertEquals(mistake(["measure", "1", "eth0", "eth1"]), 'unexpected argument "eth1"');
});

Deno.test("doctor and completions take what they need and no more", () => {
  assertEquals(parse("doctor", "--json"), {
    command: "doctor",
    options: { json: true, quiet: false, debug: false },
  });
  assertEquals(mistake(["doctor", "eth0"]), 'unexpected argument "eth0"');
  assertEquals(parse("completions", "zsh"), { command: "completions", options: { shell: "zsh" } });
  assertEquals(mistake(["completions"]), "bash|zsh|fish is missing");
  assertEquals(mistake(["completions", "csh"]), 'bash|zsh|fish takes bash, zsh or fish, got "csh"');
});

Deno.test("a bad value is refused with what would be right", () => {
  assertEquals(
    assertThrows(() => parse("monitor", "--window", "x"), UsageError).message,
    'ebpfmon monitor: --window takes 100 to 60000 milliseconds, or auto, got "x"; see ebpfmon monitor --help',
  );
  const cases: [flag: string, values: string[]][] = [
    ["window", ["99", "60001", "1e3", "100.5", "0x100", " 100", "1".repeat(400)]],
    ["top", ["0", "1001", "-0"]],
    ["max-flows", ["0", "16777217"]],
    ["duration", ["0", "0.0", "1s", ".", "2147484", "Infinity", "NaN"]],
    ["listen", ["9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9464", "[::1]", "a b:1", "OFF"]],
    ["direction", ["in", "BOTH"]],
    ["mode", ["xdp"]],
    ["egress-hook", ["xdp"]],
    ["values", ["hash"]],
  ];
  for (const [flag, values] of cases) {
    for (const value of values) {
      const text = mistake(["monitor", `--${flag}=${value}`]);
      assert(text.startsWith(`--${flag} takes `) && text.endsWith(`, got "${value}"`), text);
    }
  }
});

Deno.test("the bounds themselves are accepted", () => {
  assertEquals([monitor(["--window", "100"]), monitor(["--window", "60000"])].map((o) => o.windowMs), [100, 60_000]);
  assertEquals([monitor(["--top", "1"]), monitor(["--top", "1000"])].map((o) => o.topMax), [1, 1000]);
  assertEquals(monitor(["--listen", "localhost:65535"]).listen, { hostname: "localhost", port: 65535 });
  assertEquals(monitor(["--listen", "off"]).listen, null);
  assertEquals(monitor(["--duration", ".5"]).durationSeconds, 0.5);
});

Deno.test("a missing value is refused, at the end, before a flag, and when empty", () => {
  const takes = "--window takes 100 to 60000 milliseconds, or auto, got nothing";
  assertEquals(mistake(["monitor", "--window"]), takes);
  assertEquals(mistake(["monitor", "--window", "--json"]), takes);
  assertEquals(mistake(["monitor", "--window="]), takes);
  assertEquals(mistake(["monitor", "--window", ""]), takes);
  assertEquals(mistake(["monitor", "--config"]), "--config takes the name of a file, got nothing");
  assertEquals(mistake(["monitor", "--filter="]), "--filter takes an expression, got nothing");
});

Deno.test("an unknown flag is refused with the one that was meant", () => {
  assertEquals(mistake(["monitor", "--windw", "5"]), 'unknown flag "--windw", did you mean --window?');
  assertEquals(mistake(["monitor", "--windw=5"]), 'unknown flag "--windw", did you mean --window?');
  assertEquals(mistake(["monitor", "--zzzzzz"]), 'unknown flag "--zzzzzz"');
  assertEquals(mistake(["monitor", "--no-json"]), 'unknown flag "--no-json"');
  assertEquals(mistake(["monitor", "-j"]), 'unknown flag "-j"');
  assertEquals(mistake(["monitor", "--__proto__=1"]), 'unknown flag "--__proto__"');
  assertEquals(mistake(["doctor", "--window", "100"]), 'unknown flag "--window"');
});

Deno.test("a switch takes no value but true and false", () => {
  assertEquals(monitor(["--json=true"]).json, true);
  assertEquals(monitor(["--json=false"]).json, false);
  assertEquals(mistake(["monitor", "--json=yes"]), '--json takes no value, got "yes"');
  assertEquals(mistake(["monitor", "--json="]), '--json takes no value, got ""');
});

Deno.test("a command that is missing, unknown or misplaced is refused", () => {
  const message = (...words: string[]) => assertThrows(() => parse(...words), UsageError).message;
  assertEquals(message(), "ebpfmon: a command is missing; see ebpfmon --help");
  assertEquals(message("monitr"), 'ebpfmon: unknown command "monitr", did you mean monitor?; see ebpfmon --help');
  assertEquals(message("toString"), 'ebpfmon: unknown command "toString"; see ebpfmon --help');
  assertEquals(message("--json", "monitor"), 'ebpfmon: "--json" comes before any command; see ebpfmon --help');
  assertEquals(message("x\n\x1b[2J"), 'ebpfmon: unknown command "x\\n\\u001b[2J"; see ebpfmon --help');
});

Deno.test("an interface is a name, and is given once", () => {
  assertEquals(mistake(["monitor", "eth0", "eth0"]), 'IFACE "eth0" is given twice');
  assertEquals(mistake(["monitor", "a/b"]), 'IFACE takes the name of an interface, got "a/b"');
  assertEquals(mistake(["monitor", ""]), "IFACE takes the name of an interface, got nothing");
  assertEquals(monitor(["--", "-odd"]).interfaces, ["-odd"]);
});

Deno.test("a filter is validated, with the position of the mistake", () => {
  assertEquals(
    mistake(["monitor", "--filter", "tcp and port"]),
    '--filter: expected a port number after "port" at character 9',
  );
});

Deno.test("the config file sets flags, and the command line wins", () => {
  const config = { window: 500, top: "3", json: true, listen: "off", filter: "tcp", direction: "egress" };
  assertObjectMatch(monitor(["--config", "f.json", "--top", "4", "--json=false"], config), {
    windowMs: 500,
    topMax: 4,
    json: false,
    listen: null,
    filter: "tcp",
    direction: "egress",
  });
});

Deno.test("the config file is checked as the command line is, naming file and key", () => {
  const withConfig = (text: string) => mistake(["monitor", "--config", "f.json"], () => text);
  assertEquals(withConfig('{"windw":1}'), 'f.json: unknown key "windw", did you mean window?');
  assertEquals(withConfig('{"config":"g.json"}'), 'f.json: unknown key "config"');
  assertEquals(withConfig('{"__proto__":1}'), 'f.json: unknown key "__proto__"');
  assertEquals(withConfig('{"window":5}'), 'f.json: "window" takes 100 to 60000 milliseconds, or auto, got "5"');
  assertEquals(withConfig('{"window":null}'), 'f.json: "window" takes 100 to 60000 milliseconds, or auto, got null');
  assertEquals(withConfig('{"window":[500]}'), 'f.json: "window" takes 100 to 60000 milliseconds, or auto, got [500]');
  assertEquals(withConfig('{"json":"yes"}'), 'f.json: "json" takes true or false, got "yes"');
  assertEquals(withConfig('{"filter":"port"}'), '--filter: expected a port number after "port" at character 1');
  assertEquals(withConfig("[]"), "f.json: expected a JSON object");
  assert(withConfig("{").startsWith('cannot read --config "f.json": '));
  const gone = mistake(["monitor", "--config", "f.json"], () => {
    throw new Error("No such file\nor directory");
  });
  assertEquals(gone, 'cannot read --config "f.json": No such file or directory');
});

Deno.test("help and version are asked for in every usual way", () => {
  assertEquals(parse("--version"), { command: "version" });
  assertEquals(parse("-V"), { command: "version" });
  const program = parse("--help");
  assertEquals([parse("-h"), parse("help")], [program, program]);
  for (const name of Object.keys(COMMANDS)) {
    const help = parse(name, "--help");
    assertEquals([parse(name, "-h"), parse("help", name)], [help, help]);
  }
  assertEquals(parse("measure", "--help").command, "help");
});

Deno.test("help names every command, flag and exit code, and every example parses", () => {
  const program = parse("--help");
  assert(program.command === "help");
  for (const [name, { spec }] of Object.entries(COMMANDS)) {
    assertStringIncludes(program.text, `\n  ${name}`);
    const help = parse(name, "--help");
    assert(help.command === "help");
    for (const flag of Object.values<Flag>(spec.flags)) assertStringIncludes(help.text, `\n  --${flag.name}`);
    for (const code of Object.values(EXIT)) assertStringIncludes(help.text, `\n  ${code}  `);
    for (const line of help.text.split("\n")) assert(line.length <= 120, line);
    for (const [line] of spec.examples) {
      const words = [...line.replace(/ >.*/, "").matchAll(/'([^']*)'|\S+/g)].map((match) => match[1] ?? match[0]);
      assertEquals(parse(...words.slice(words.indexOf("ebpfmon") + 1)).command, name);
    }
  }
});

Deno.test("detach takes interfaces, or none for all, and --force", () => {
  const output = { json: false, quiet: false, debug: false };
  assertEquals(parse("detach"), { command: "detach", options: { ...output, interfaces: [], force: false } });
  assertEquals(parse("detach", "eth0", "eth1", "--force", "--json"), {
    command: "detach",
    options: { ...output, json: true, interfaces: ["eth0", "eth1"], force: true },
  });
});
