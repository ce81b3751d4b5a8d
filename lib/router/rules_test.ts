import { assert, assertEquals, assertThrows } from "../../tests/assert.ts";
import type { SeverityRule } from "./protocol.ts";
import { allRules, BUILTIN_RULES, homeSshRules, parseRules, RULES_MAX } from "./rules.ts";

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
  const { message } = assertThrows(() => parseRules(text, format, "f"), SyntaxError);
  assert(!message.includes("\n"), message);
  return message;
}

/** The message for the conditions of a rule in YAML; they begin at column 28 of line 1. */
function matchMistake(conditions: string): string {
  return mistake(`rules: [{name: n, match: { ${conditions} }, severity: info}]`);
}

Deno.test("parseRules() reads YAML and JSON, tabs included", () => {
  assertEquals(parseRules(YAML, "yaml", "f"), RULES);
  assertEquals(parseRules(JSON_TEXT, "json", "f"), RULES);
  assertEquals(parseRules(JSON.stringify({ rules: [] }), "json", "f"), []);
});

Deno.test("parseRules() takes the bounds themselves", () => {
  const path = "/" + "é".repeat(63) + "a"; // 128 bytes
  const match = { path_prefix: path, uid: 4294967294, comm: "123456789012345", result: -4095 };
  const rules = [
    { name: "a", match, severity: "debug" },
    { name: "b", match: { port: 65535 }, at_least: "error" },
    { name: "c", match: { port: 1, event: "tcp_state" }, at_least: "error" },
  ];
  const parsed = parseRules(JSON.stringify({ rules }), "json", "f").map((rule) => rule.match);
  assertEquals(parsed, [
    { pathPrefix: path, uid: 4294967294, comm: "123456789012345", result: -4095 },
    { port: 65535 },
    { port: 1, event: "tcp_state" },
  ]);
});

Deno.test("parseRules() points at the line and column of a wrong key or value", () => {
  assertEquals(
    mistake(YAML.replace("at_least: warning", "at_least: warnin")),
    'f:11:15: at_least takes critical, error, warning, info or debug, got "warnin", did you mean warning?',
  );
  assertEquals(mistake(YAML.replace("comm:", "com:")), 'f:9:7: unknown key "com", did you mean comm?');
  assertEquals(mistake(YAML.replace("rules:", "rule:")), 'f:2:1: unknown key "rule", did you mean rules?');
  assertEquals(mistake(YAML.replace("  - name: refused\n    match", "  - match")), "f:6:5: the rule has no name");
  assertEquals(
    mistake(JSON_TEXT.replace("file_open", "file_opn"), "json"),
    "f:4:25: event takes process_exec, process_exit, file_open, network_connect, tcp_state, security_violation or " +
      'resource_limit, got "file_opn", did you mean file_open?',
  );
});

Deno.test("parseRules() says what a condition takes", () => {
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

Deno.test("parseRules() refuses rules that could never apply or say nothing", () => {
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

Deno.test("parseRules() refuses other shapes, and too many rules", () => {
  assertEquals(mistake(""), "f:1:1: expected a map with the key rules, got nothing");
  assertEquals(mistake("- a"), "f:1:1: expected a map with the key rules, got a list");
  assertEquals(mistake("{}"), "f:1:1: rules is missing");
  assertEquals(mistake("rules: 5"), "f:1:8: rules takes a list, got 5");
  assertEquals(mistake("rules:\n"), "f:1:7: rules takes a list, got nothing");
  assertEquals(mistake("rules: [7]"), "f:1:9: expected a map, got 7");
  assertEquals(mistake("__proto__: 1"), 'f:1:1: unknown key "__proto__"');
  const rule = "\n- {name: n, match: {uid: 0}, severity: info}";
  assertEquals(parseRules(`rules:${rule.repeat(RULES_MAX)}`, "yaml", "f").length, RULES_MAX);
  assertEquals(mistake(`rules:${rule.repeat(RULES_MAX + 1)}`), "f:66:3: rules takes at most 64 rules, got 65");
});

Deno.test("parseRules() points at mistakes of syntax", () => {
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

Deno.test("parseRules() follows no aliases, so that a small file stays small", () => {
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
  assertEquals(parseRules(JSON.stringify({ rules }), "json", "f"), [...BUILTIN_RULES]);
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
