import { assertEquals, assertThrows } from "../../../tests/assert.ts";
import { BUILTIN_CORRELATION_RULES, BUILTIN_RULES_YAML } from "./builtin_rules.ts";
import { CORRELATION_RULES_MAX, parseCorrelationRules, rulesOfKind, withBuiltin } from "./rules.ts";

const YAML = `# ours
rules:
  - name: tree
    kind: process_tree
    window_ms: 60000
    steps:
      - { event: process_exec, path_prefix: /tmp/ }
      - { event: network_connect, port: 4444, severity: warning }
    severity: critical
    sentence: "{comm} on {host}"
  - name: pair
    kind: connection_pair
    port: 443
    window_ms: 1000
    severity: debug
    sentence: "{src} to {dst}"
  - name: burst
    kind: burst
    match: { event: security_violation, kinds: [ptrace, denied], uid: 0, result: -13, comm: x }
    per: container
    threshold: 5
    window_ms: 1
    severity: error
    sentence: many
  - name: kills
    kind: pressure
    cause: { event: resource_limit }
    effect: { event: process_exit, signal: 9 }
    threshold: 1
    window_ms: 3600000
    severity: info
    sentence: "{kills}"
`;

const mistake = (from: string, to: string) =>
  assertThrows(() => parseCorrelationRules(YAML.replace(from, to), "f"), SyntaxError).message;

Deno.test("parseCorrelationRules() reads rules of all kinds", () => {
  const rules = parseCorrelationRules(YAML, "f");
  assertEquals(rules.map(({ kind }) => kind), ["process_tree", "connection_pair", "burst", "pressure"]);
  assertEquals(rulesOfKind(rules, "process_tree")[0], {
    name: "tree",
    kind: "process_tree",
    windowMs: 60_000,
    steps: [
      { event: "process_exec", pathPrefix: "/tmp/" },
      { event: "network_connect", port: 4444, severity: "warning" },
    ],
    severity: "critical",
    sentence: "{comm} on {host}",
  });
  assertEquals(rulesOfKind(rules, "burst")[0].match, {
    event: "security_violation",
    uid: 0,
    comm: "x",
    result: -13,
    kinds: ["ptrace", "denied"],
  });
  const json = `{\n\t"rules": [{ "name": "p", "kind": "connection_pair", "window_ms": 5,
\t"severity": "info", "sentence": "{src}" }]}`;
  assertEquals(parseCorrelationRules(json, "f").length, 1);
});

Deno.test("parseCorrelationRules() points at the line and column of a mistake", () => {
  assertEquals(mistake("window_ms: 60000", "wndow_ms: 1"), 'f:5:5: unknown key "wndow_ms", did you mean window_ms?');
  assertEquals(
    mistake("    port: 443\n", "    threshold: 4\n"),
    "f:13:5: a rule of kind connection_pair has no threshold",
  );
  assertEquals(
    mistake("kind: burst", "kind: brust"),
    'f:18:11: kind takes process_tree, connection_pair, burst or pressure, got "brust", did you mean burst?',
  );
  assertEquals(
    mistake("{comm} on", "{com} on"),
    "f:10:15: sentence has an unknown placeholder {com}, did you mean comm?",
  );
  assertEquals(mistake("    threshold: 5\n", ""), "f:17:5: the rule has no threshold");
  assertEquals(
    mistake("window_ms: 1000\n", "window_ms: 0\n"),
    "f:14:16: window_ms takes a whole number from 1 to 3600000, got 0",
  );
  assertEquals(
    mistake("{ event: resource_limit }", "{ signal: 9 }"),
    "f:27:14: signal is for process_exit; name one of them as event",
  );
  assertEquals(
    mistake("{ event: process_exec, path_prefix: /tmp/ }", "{ event: process_exec, path_prefix: tmp }"),
    'f:7:45: path_prefix takes an absolute path, got "tmp"',
  );
  assertEquals(
    mistake("{ event: resource_limit }", "{ }"),
    "f:27:12: expected at least one of event, path_prefix, uid, comm, port, result, kinds, signal or severity",
  );
  assertEquals(mistake("name: pair", "name: tree"), 'f:11:5: there are two rules named "tree"');
  assertEquals(mistake(YAML, "rules: []"), "f:1:8: rules takes at least one item");
  assertEquals(mistake(YAML, "rules: 7"), "f:1:8: rules takes a list, got 7");
  assertEquals(mistake(YAML, ""), "f:1:1: expected a map with the key rules, got nothing");
  assertEquals(mistake(YAML, "{}"), "f:1:1: rules is missing");
  assertEquals(
    mistake(YAML, `rules:${"\n- 1".repeat(CORRELATION_RULES_MAX + 1)}`),
    "f:66:3: rules takes at most 64 items, got 65",
  );
  assertEquals(mistake(YAML, "rules:\n- *a"), "f:2:3: expected a map, got an alias, which is not supported here");
});

Deno.test("rules of a file take the place of built-in ones of their name", () => {
  const own = parseCorrelationRules(YAML.replace("name: burst", "name: burst of violations by a user"), "f");
  const all = withBuiltin(own, BUILTIN_CORRELATION_RULES);
  assertEquals(all.length, own.length + BUILTIN_CORRELATION_RULES.length - 1);
  assertEquals(all.filter(({ name }) => name === "burst of violations by a user"), [own[2]]);
});

Deno.test("the built-in rules are of all kinds, and are what a file could hold", () => {
  assertEquals(new Set(BUILTIN_CORRELATION_RULES.map(({ kind }) => kind)).size, 4);
  assertEquals(parseCorrelationRules(BUILTIN_RULES_YAML, "f"), [...BUILTIN_CORRELATION_RULES]);
});
