import { assertEquals } from "../../tests/assert.ts";
import { parseRuleSet } from "../events/rules.ts";
import { ruleSetObject } from "./rules_json.ts";

const FILE = `
rules:
  - { name: keys, match: { event: file_open, path_prefix: /srv/keys/, result: 0, uid: 7, comm: sh }, severity: critical }
  - { name: web, match: { port: 443 }, at_least: warning }
filters:
  - { name: lan, match: { net: 10.0.0.0/8, pid: 7 }, action: keep }
  - { name: builds, match: { cgroup: /sys/fs/cgroup/build }, action: drop }
watch:
  - { name: bad, nets: [203.0.113.0/24, "2001:db8::7"], ports: [4444], at_least: critical }
minimum_severity: warning
rate_limit: 0
sampling: { debug: 20 }
`;

Deno.test("ruleSetObject() has all that a file may have, in the shape of the file", () => {
  assertEquals(ruleSetObject(parseRuleSet(FILE, "yaml", "f")), {
    rules: [
      {
        name: "keys",
        match: { event: "file_open", uid: 7, comm: "sh", result: 0, path_prefix: "/srv/keys/" },
        severity: "critical",
      },
      { name: "web", match: { port: 443 }, at_least: "warning" },
    ],
    filters: [
      { name: "lan", match: { pid: 7, net: "10.0.0.0/8" }, action: "keep" },
      { name: "builds", match: { cgroup: "/sys/fs/cgroup/build" }, action: "drop" },
    ],
    watch: [{ name: "bad", nets: ["203.0.113.0/24", "2001:db8::7/128"], ports: [4444], at_least: "critical" }],
    minimum_severity: "warning",
    rate_limit: 0,
    sampling: { debug: 20 },
  });
});

Deno.test("what ruleSetObject() shows is read back as the same rules", () => {
  for (const text of [FILE, "rules: []", "rate_limit: 7", "minimum_severity: critical"]) {
    const rules = parseRuleSet(text, "yaml", "f");
    assertEquals(parseRuleSet(JSON.stringify(ruleSetObject(rules)), "json", "f"), rules);
  }
});
