import { assert, assertEquals, assertThrows } from "../../tests/assert.ts";
import { parseCidr } from "../net/address.ts";
import type { RuleSet, SeverityRule } from "./rule_set.ts";
import { EVENT_TYPES, SEVERITIES } from "./event.ts";
import {
  allRules,
  BUILTIN_RULES,
  homeSshRules,
  parseRuleSet,
  RULES_MAX,
  WATCHED_NETS_MAX,
  WATCHED_PORTS_MAX,
} from "./rules.ts";

const YAML = `# what matters here
rules:
  - name: shadow is read
    match: { event: file_open, path_prefix: /etc/shadow, result: 0 }
    severity: critical
  - name: refused
    match:
      uid: 1000
      comm: "sshd"
      result: EACCES
    at_least: warning
`;

const RULES: SeverityRule[] = [
  {
    name: "shadow is read",
    match: { event: "file_open", pathPrefix: "/etc/shadow", result: 0 },
    action: { set: "critical" },
  },
  { name: "refused", match: { uid: 1000, comm: "sshd", result: -13 }, action: { atLeast: "warning" } },
];

const JSON_TEXT = `{
\t"rules": [
\t\t{ "name": "shadow is read", "severity": "critical",
\t\t  "match": { "event": "file_open", "path_prefix": "\\/etc/shadow", "result": 0 } },
\t\t{ "name": "refused", "match": { "uid": 1e3, "comm": "sshd", "result": -13 }, "at_least": "warning" }
\t]
}
`;

/** The message for a rule of which one line is given. */
function mistake(text: string, format: "json" | "yaml" = "yaml"): string {
  const { message } = assertThrows(() => parseRuleSet(text, format, "f").rules, SyntaxError);
  assert(!message.includes("\n"), message);
  return message;
}

/** The message for the conditions of a rule in YAML; they begin at column 28 of line 1. */
function matchMistake(conditions: string): string {
  return mistake(`rules: [{name: n, match: { ${conditions} }, severity: info}]`);
}

Deno.test("parseRuleSet() reads YAML and JSON, tabs included", () => {
  assertEquals(parseRuleSet(YAML, "yaml", "f").rules, RULES);
  assertEquals(parseRuleSet(JSON_TEXT, "json", "f").rules, RULES);
  assertEquals(parseRuleSet(JSON.stringify({ rules: [] }), "json", "f").rules, []);
});

Deno.test("parseRuleSet() takes the bounds themselves", () => {
  const path = "/" + "é".repeat(63) + "a"; // 128 bytes
  const match = { path_prefix: path, uid: 4294967294, comm: "123456789012345", result: -4095 };
  const rules = [
    { name: "a", match, severity: "debug" },
    { name: "b", match: { port: 65535 }, at_least: "error" },
    { name: "c", match: { port: 1, event: "tcp_state" }, at_least: "error" },
  ];
  const parsed = parseRuleSet(JSON.stringify({ rules }), "json", "f").rules.map((rule) => rule.match);
  assertEquals(parsed, [
    { pathPrefix: path, uid: 4294967294, comm: "123456789012345", result: -4095 },
    { port: 65535 },
    { port: 1, event: "tcp_state" },
  ]);
});

Deno.test("parseRuleSet() points at the line and column of a wrong key or value", () => {
  assertEquals(
    mistake(YAML.replace("at_least: warning", "at_least: warnin")),
    'f:11:15: at_least takes critical, error, warning, info or debug, got "warnin", did you mean warning?',
  );
  assertEquals(mistake(YAML.replace("comm:", "com:")), 'f:9:7: unknown key "com", did you mean comm?');
  assertEquals(mistake(YAML.replace("rules:", "rule:")), 'f:2:1: unknown key "rule", did you mean rules?');
  assertEquals(mistake(YAML.replace("  - name: refused\n    match", "  - match")), "f:6:5: the rule has no name");
  assertEquals(
    mistake(JSON_TEXT.replace("file_open", "file_opn"), "json"),
    `f:4:25: event takes ${EVENT_TYPES.slice(0, -1).join(", ")} or ${EVENT_TYPES.at(-1)}, ` +
      'got "file_opn", did you mean file_open?',
  );
});

Deno.test("parseRuleSet() says what a condition takes", () => {
  const uid = "f:1:33: uid takes a whole number from 0 to 4294967294";
  assertEquals(matchMistake("uid: -1"), `${uid}, got -1`);
  assertEquals(matchMistake("uid: 4294967295"), `${uid}, got 4294967295`);
  assertEquals(matchMistake("uid: 1.5"), `${uid}, got 1.5`);
  assertEquals(matchMistake('uid: "0"'), `${uid}, got "0"`);
  assertEquals(matchMistake("uid: .nan"), `${uid}, got null`);
  assertEquals(matchMistake("uid: [0]"), `${uid}, got a list`);
  assertEquals(matchMistake("uid: "), "f:1:34: uid takes a whole number from 0 to 4294967294, got nothing");
  assertEquals(matchMistake("port: 0"), "f:1:34: port takes a whole number from 1 to 65535, got 0");
  assertEquals(matchMistake("port: 65536"), "f:1:34: port takes a whole number from 1 to 65535, got 65536");
  const comm = "f:1:34: comm takes a command name of 1 to 15 bytes, which is what the kernel keeps of one";
  assertEquals(matchMistake("comm: 1234567890123456x"), `${comm}, got "1234567890123456x"`);
  assertEquals(matchMistake("comm: éééééééé"), `${comm}, got "éééééééé"`);
  assertEquals(matchMistake('comm: ""'), `${comm}, got ""`);
  assertEquals(matchMistake('comm: "a\\0"'), `${comm}, got "a\\u0000"`);
  assertEquals(matchMistake("comm: 7"), `${comm}, got 7`);
  const path = "f:1:41: path_prefix takes an absolute path of at most 128 bytes";
  assertEquals(matchMistake("path_prefix: etc/x"), `${path}, got "etc/x"`);
  assert(matchMistake(`path_prefix: /${"a".repeat(128)}`).startsWith(`${path}, got "/aaa`));
  const result = "f:1:36: result takes 0, -4095 to -1, or the name of an error such as EPERM";
  assertEquals(matchMistake("result: 1"), `${result}, got 1`);
  assertEquals(matchMistake("result: EPREM"), `${result}, got "EPREM", did you mean EPERM?`);
});

Deno.test("parseRuleSet() refuses rules that could never apply or say nothing", () => {
  assertEquals(matchMistake("path_prefix: /a, port: 1"), "f:1:45: no event has both a path and a port");
  assertEquals(
    matchMistake("event: tcp_state, path_prefix: /a"),
    "f:1:46: path_prefix is for process_exec or file_open; tcp_state has none",
  );
  assertEquals(
    matchMistake("event: file_open, port: 1"),
    "f:1:46: port is for network_connect or tcp_state; file_open has none",
  );
  assertEquals(matchMistake(""), "f:1:26: match takes at least one of event, path_prefix, uid, comm, port or result");
  const rule = (text: string) => mistake(`rules:\n- name: n\n  match: {uid: 0}\n${text}`);
  assertEquals(rule(""), "f:2:3: the rule has neither severity nor at_least");
  assertEquals(rule("  severity: info\n  at_least: info"), "f:5:3: a rule has severity or at_least, not both");
  assertEquals(mistake("rules: [{name: n, severity: info}]"), "f:1:9: the rule has no match");
});

Deno.test("parseRuleSet() refuses other shapes, and too many rules", () => {
  assertEquals(
    mistake(""),
    "f:1:1: expected a map with the key rules, filters, watch, minimum_severity, rate_limit or sampling, got nothing",
  );
  assertEquals(
    mistake("- a"),
    "f:1:1: expected a map with the key rules, filters, watch, minimum_severity, rate_limit or sampling, got a list",
  );
  assertEquals(mistake("{}"), "f:1:1: rules, filters, watch, minimum_severity, rate_limit or sampling is missing");
  assertEquals(mistake("rules: 5"), "f:1:8: rules takes a list, got 5");
  assertEquals(mistake("rules:\n"), "f:1:7: rules takes a list, got nothing");
  assertEquals(mistake("rules: [7]"), "f:1:9: expected a map, got 7");
  assertEquals(mistake("__proto__: 1"), 'f:1:1: unknown key "__proto__"');
  const rule = "\n- {name: n, match: {uid: 0}, severity: info}";
  assertEquals(parseRuleSet(`rules:${rule.repeat(RULES_MAX)}`, "yaml", "f").rules.length, RULES_MAX);
  assertEquals(mistake(`rules:${rule.repeat(RULES_MAX + 1)}`), "f:66:3: rules takes at most 64 rules, got 65");
});

Deno.test("parseRuleSet() points at mistakes of syntax", () => {
  assertEquals(mistake('{\n  "rules": [],\n}', "json"), "f:3:1: not JSON: Expected double-quoted property name");
  assertEquals(mistake("rules: []", "json"), "f:1:1: not JSON: Unexpected token 'r'");
  assertEquals(mistake('{"rules":\n [1, }\n', "json"), "f:2:6: not JSON: Unexpected token '}'");
  assertEquals(mistake('{"rules": tru}', "json"), "f:1:14: not JSON: Unexpected token '}'");
  assertEquals(mistake("", "json"), "f:1:1: not JSON: Unexpected end of JSON input");
  assertEquals(mistake('{"rules":\n [', "json"), "f:2:3: not JSON: Unexpected end of JSON input");
  assert(mistake("rules:\n\t- a").startsWith("f:2:1: "), mistake("rules:\n\t- a"));
  assert(mistake("rules: [a\n").startsWith("f:2:1: "), mistake("rules: [a\n"));
  assert(mistake("rules: []\nrules: []").startsWith("f:2:1: "), mistake("rules: []\nrules: []"));
  assert(mistake("rules: []\n---\nrules: []").startsWith("f:2:1: "), mistake("rules: []\n---\nrules: []"));
});

Deno.test("parseRuleSet() follows no aliases, so that a small file stays small", () => {
  assertEquals(
    mistake("rules:\n- &a {name: n, match: {uid: 0}, severity: info}\n- *a"),
    "f:3:3: expected a map, got an alias, which is not supported here",
  );
});

Deno.test("the built-in rules are rules that a file could hold", () => {
  const rules = BUILTIN_RULES.map(({ name, match }) => ({
    name,
    match: { event: match.event, path_prefix: match.pathPrefix },
    at_least: "warning",
  }));
  assertEquals(parseRuleSet(JSON.stringify({ rules }), "json", "f").rules, [...BUILTIN_RULES]);
});

Deno.test("homeSshRules() covers each home once, root and users without a login aside", () => {
  const passwd =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\nman:x:6:12::/var/man:/usr/sbin/nologin\nsys:x:3:3::/:/bin/sh\n" +
    "ann:x:1000:1000::/home/ann:/bin/sh\nann2:x:1001:1001::/home/ann/:/bin/sh\nbob:x:1002:1002::/home/bob:/bin/sh\nbad\n";
  assertEquals(homeSshRules(passwd).map(({ match }) => match), [
    { event: "file_open", pathPrefix: "/home/ann/.ssh/" },
    { event: "file_open", pathPrefix: "/home/bob/.ssh/" },
  ]);
});

Deno.test("allRules() puts those of the file first, and says how many found no room", () => {
  const own = (count: number): SeverityRule[] =>
    Array.from({ length: count }, (_, i) => ({ name: String(i), match: { uid: i }, action: { set: "info" } }));
  const home = "ann:x:1000:1000::/home/ann:/bin/sh\n";
  const few = allRules(own(1), home);
  assertEquals(few, { rules: [...own(1), ...BUILTIN_RULES, ...homeSshRules(home)], leftOut: 0 });
  const many = allRules(own(RULES_MAX), home);
  assertEquals(many, { rules: own(RULES_MAX), leftOut: BUILTIN_RULES.length + 1 });
});

const SET_YAML = `
filters:
  - name: but not this
    match: { pid: 7, cgroup: /sys/fs/cgroup/a, event: tcp_state, net: 10.1.2.3/8 }
    action: keep
  - name: all else
    match: { uid: 0 }
    action: drop
watch:
  - name: bad
    nets: [203.0.113.0/24, "2001:db8::7", 192.0.2.1]
    ports: [4444, 1]
    at_least: critical
  - name: ports alone
    ports: [6667]
    at_least: warning
minimum_severity: info
rate_limit: 0
sampling: { debug: 20 }
`;

const SET: RuleSet = {
  rules: [],
  filters: [
    {
      name: "but not this",
      match: { event: "tcp_state", pid: 7, cgroup: "/sys/fs/cgroup/a", net: parseCidr("10.0.0.0/8")! },
      action: "keep",
    },
    { name: "all else", match: { uid: 0 }, action: "drop" },
  ],
  watch: [
    {
      name: "bad",
      nets: [parseCidr("203.0.113.0/24")!, parseCidr("2001:db8::7/128")!, parseCidr("192.0.2.1/32")!],
      ports: [4444, 1],
      atLeast: "critical",
    },
    { name: "ports alone", nets: [], ports: [6667], atLeast: "warning" },
  ],
  minimumSeverity: "info",
  rateLimit: 0,
  debugOneIn: 20,
};

/** The message for a rule set. */
function setMistake(text: string): string {
  const { message } = assertThrows(() => parseRuleSet(text, "yaml", "f"), SyntaxError);
  assert(!message.includes("\n"), message);
  return message;
}

Deno.test("parseRuleSet() reads every section, each of which may be left out", () => {
  assertEquals(parseRuleSet(SET_YAML, "yaml", "f"), SET);
  assertEquals(parseRuleSet(YAML, "yaml", "f"), { rules: RULES });
  assertEquals(parseRuleSet(YAML + SET_YAML, "yaml", "f"), { ...SET, rules: RULES });
  assertEquals(parseRuleSet('{"rate_limit": 5}', "json", "f"), { rules: [], rateLimit: 5 });
  for (const severity of SEVERITIES) {
    const set = parseRuleSet(`minimum_severity: ${severity}`, "yaml", "f");
    assertEquals(set, { rules: [], minimumSeverity: severity });
  }
  assertEquals(parseRuleSet("filters: []\nwatch: []", "yaml", "f"), { rules: [], filters: [], watch: [] });
});

Deno.test("parseRuleSet() points at the line and column of what is wrong in a section", () => {
  assertEquals(setMistake("{}"), "f:1:1: rules, filters, watch, minimum_severity, rate_limit or sampling is missing");
  assertEquals(setMistake("filter: []"), 'f:1:1: unknown key "filter", did you mean filters?');
  assertEquals(
    setMistake(SET_YAML.replace("action: keep", "action: kep")),
    'f:5:13: action takes drop or keep, got "kep", did you mean keep?',
  );
  assertEquals(
    setMistake(SET_YAML.replace("203.0.113.0/24", "203.0.113.0/33")),
    'f:11:12: nets takes an address, or a network such as 10.0.0.0/8, got "203.0.113.0/33"',
  );
  assertEquals(
    setMistake(SET_YAML.replace("4444", "0")),
    "f:12:13: ports takes a whole number from 1 to 65535, got 0",
  );
  assertEquals(
    setMistake(SET_YAML.replace("rate_limit: 0", "rate_limit: -1")).slice(0, 36),
    "f:18:13: rate_limit takes a whole nu",
  );
  const minimum = "f:1:19: minimum_severity takes critical, error, warning, info or debug, got";
  assertEquals(setMistake("minimum_severity: infos"), `${minimum} "infos", did you mean info?`);
  assertEquals(setMistake("minimum_severity: 0"), `${minimum} 0`);
  assertEquals(setMistake("minimum_severity: none"), `${minimum} "none"`);
  assertEquals(setMistake("minimum_severity:"), "f:1:18: " + minimum.slice("f:1:19: ".length) + " nothing");
  assertEquals(setMistake("sampling: { debug: 0 }"), "f:1:20: debug takes a whole number from 1 to 1000000, got 0");
  assertEquals(setMistake("sampling: 5"), "f:1:11: expected a map with the key debug, got 5");
  assertEquals(setMistake("sampling: {}"), "f:1:1: sampling has no debug");
  assertEquals(setMistake("filters: [{match: {uid: 0}, action: drop}]"), "f:1:11: the filter has no name");
  assertEquals(setMistake("filters: [{name: n, action: drop}]"), "f:1:11: the filter has no match");
  assertEquals(setMistake("filters: [{name: n, match: {uid: 0}}]"), "f:1:11: the filter has no action");
  assertEquals(setMistake("watch: [{name: n, at_least: info}]"), "f:1:9: the watch list has neither nets nor ports");
  assertEquals(setMistake("watch: [{name: n, ports: [1]}]"), "f:1:9: the watch list has no at_least");
  assertEquals(setMistake("watch: [{ports: [1], at_least: info}]"), "f:1:9: the watch list has no name");
  assertEquals(setMistake("watch: [{name: n, at_least: info, nets: 7}]"), "f:1:41: nets takes a list, got 7");
  const filter = (conditions: string) => setMistake(`filters: [{name: n, match: { ${conditions} }, action: drop}]`);
  assertEquals(filter("path_prefix: /a, net: 10.0.0.0/8"), "f:1:47: no event has both a path and an address");
  assertEquals(
    filter("event: file_open, net: 10.0.0.0/8"),
    "f:1:48: net is for network_connect or tcp_state; file_open has none",
  );
  assertEquals(filter("pid: 0"), "f:1:35: pid takes a whole number from 1 to 4194304, got 0");
  assertEquals(filter("cgroup: a"), 'f:1:38: cgroup takes the folder of a cgroup, an absolute path, got "a"');
});

Deno.test("parseRuleSet() refuses more than there is room for", () => {
  const filters = (count: number) => `filters:${"\n- {name: n, match: {uid: 0}, action: drop}".repeat(count)}`;
  assertEquals(parseRuleSet(filters(RULES_MAX), "yaml", "f").filters?.length, RULES_MAX);
  assertEquals(setMistake(filters(RULES_MAX + 1)), "f:66:3: filters takes at most 64 filters, got 65");
  const list = "\n- {name: n, at_least: info, ports: [1]}";
  assertEquals(setMistake(`watch:${list.repeat(RULES_MAX + 1)}`), "f:66:3: watch takes at most 64 lists, got 65");
  const watch = (member: string, values: unknown[]) =>
    JSON.stringify({ watch: [{ name: "n", at_least: "info", [member]: values }] });
  const ports = watch("ports", new Array(WATCHED_PORTS_MAX + 1).fill(1));
  assertEquals(setMistake(ports), `f:1:2: watch takes at most ${WATCHED_PORTS_MAX} ports in all lists, got 3001`);
  const nets = watch("nets", new Array(WATCHED_NETS_MAX + 1).fill("::1"));
  assertEquals(setMistake(nets), `f:1:2: watch takes at most ${WATCHED_NETS_MAX} nets in all lists, got 65001`);
});
