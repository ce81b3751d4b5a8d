import { assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { correlate } from "../../../tests/correlation_run.ts";

const rules = (per = "user") =>
  `rules:
  - name: burst
    kind: burst
    match: { event: security_violation, kinds: [denied, ptrace] }
    per: ${per}
    threshold: 4
    window_ms: 1000
    severity: warning
    sentence: "{subject} {events} {kinds} {comm} {seconds}"
`;

type Details = NonNullable<Parameters<typeof FakeHost.prototype.event<"security_violation">>[2]>;

const violations = (h: FakeHost, times: number[], details: Details = {}) =>
  times.map((seconds) => h.event("security_violation", seconds, details));

Deno.test("a burst begins with the first of enough events in one window, and lasts while they come", () => {
  const h = new FakeHost("h");
  const { groups } = correlate(rules(), violations(h, [1, 3, 3.3, 3.6, 4, 4.9, 5.9, 7]));
  const [{ key, sentence, members, closed }] = groups;
  assertEquals(groups.length, 1);
  assertEquals([key, sentence, closed], ["h/user/1000", "1000 6 denied true 2.9", "window"]);
  assertEquals(members.map(({ sequence }) => sequence), [1, 2, 3, 4, 5, 6]);
});

Deno.test("too few, or too far apart, are no burst", () => {
  const h = new FakeHost("h");
  assertEquals(correlate(rules(), violations(h, [1, 1.2, 1.4])).groups, []);
  assertEquals(correlate(rules(), violations(h, [1, 1.4, 1.8, 2.2, 2.6, 3])).groups, []);
  assertEquals(correlate(rules(), violations(h, [1, 1, 1, 1, 1], { kind: "mount" })).groups, []);
});

Deno.test("users, containers and hosts are counted apart", () => {
  const [a, b] = [new FakeHost("a"), new FakeHost("b")];
  const mixed = [
    ...violations(a, [1, 1.1], { uid: 1, enrichment: { containerId: "x" } }),
    ...violations(a, [1.2, 1.3], { uid: 2, enrichment: { containerId: "x" } }),
    ...violations(b, [1.4, 1.5], { uid: 1, enrichment: { containerId: "y" } }),
    ...violations(b, [1.6, 1.7], { uid: 2 }),
  ];
  const keys = (per: string) => correlate(rules(per), mixed).groups.map(({ key }) => key);
  assertEquals([keys("user"), keys("container"), keys("process")], [[], ["a/container/x"], [
    "a/process/100",
    "b/process/100",
  ]]);
  assertEquals(keys("host"), ["a/host/a", "b/host/b"]);
});

Deno.test("a record that stands for several events counts as many", () => {
  const h = new FakeHost("h");
  const repeated = correlate(rules(), violations(h, [1], { repeats: 4 })).groups;
  assertEquals(repeated.map(({ sentence, confidence }) => [sentence, confidence]), [["1000 4 denied true 0.0", 1]]);
  const sampled = correlate(rules(), violations(h, [1], { weight: 8 })).groups;
  assertEquals(sampled.map(({ doubts }) => doubts), [["sampled"]]);
});

Deno.test("a burst that does not end is given out in parts", () => {
  const h = new FakeHost("h");
  const { groups } = correlate(rules(), violations(h, Array.from({ length: 100 }, (_, i) => 1 + i / 4)));
  assertEquals(groups.map(({ closed }) => closed), ["span", "span", "window"]);
  assertEquals(groups.reduce((sum, { members }) => sum + members.length, 0), 100);
});
