import { assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { correlate } from "../../../tests/correlation_run.ts";
import type { FleetEvent } from "./correlated_group.ts";

const RULES = `rules:
  - name: pressure
    kind: pressure
    cause: { event: resource_limit }
    effect: { event: process_exit, signal: 9 }
    threshold: 2
    window_ms: 10000
    severity: error
    sentence: "{victims}: {causes} of {kinds}, {kills} in {seconds}"
`;

type Details<Type extends "resource_limit" | "process_exit"> = Parameters<typeof FakeHost.prototype.event<Type>>[2];

const limit = (h: FakeHost, seconds: number, details: Details<"resource_limit"> = {}) =>
  h.event("resource_limit", seconds, details);
const kill = (h: FakeHost, seconds: number, details: Details<"process_exit"> = {}) =>
  h.event("process_exit", seconds, { signal: 9, ...details });
const run = (...records: FleetEvent[]) => correlate(RULES, records).groups;

Deno.test("kills that follow a shortage are a group with it", () => {
  const h = new FakeHost("h");
  const groups = run(limit(h, 1), limit(h, 2, { repeats: 3 }), kill(h, 5), kill(h, 6, { comm: "b" }));
  assertEquals(groups.map(({ sentence }) => sentence), ["true (pid 100), b (pid 100): 4 of enomem, 2 in 5.0"]);
  assertEquals(groups[0].members.map(({ role, links }) => [role, links]), [
    ["cause", []],
    ["cause", []],
    ["effect", [0, 1]],
    ["effect", [0, 1]],
  ]);
});

Deno.test("a kill too late, too little shortage, or another host make no group", () => {
  const [h, other] = [new FakeHost("h"), new FakeHost("other")];
  assertEquals(run(limit(h, 1), limit(h, 2), kill(h, 12.001)), []);
  assertEquals(run(limit(h, 1), kill(h, 2)), []);
  assertEquals(run(limit(h, 1), limit(h, 11.5), kill(h, 12)), []); // the first is too old by then
  assertEquals(run(limit(h, 1), limit(h, 2), kill(other, 3)), []);
  assertEquals(run(limit(h, 1), limit(h, 2), h.event("process_exit", 3, { signal: 15 })), []);
  assertEquals(run(kill(h, 1), limit(h, 2), limit(h, 3)), []);
});

Deno.test("whose process it was decides the confidence, and a stranger does not join", () => {
  const h = new FakeHost("h");
  const limits = (from: number) => [limit(h, from, { cgroupId: 5n }), limit(h, from + 1, { cgroupId: 5n })];
  const doubts = (...kills: FleetEvent[]) =>
    run(...limits(1), ...kills).map(({ doubts, members }) => [doubts, members.length]);
  const [sameCgroup, stranger] = [{ pid: 7, cgroupId: 5n }, { pid: 8, cgroupId: 6n }];
  assertEquals(doubts(kill(h, 3)), [[[], 3]]);
  assertEquals(doubts(kill(h, 3, sameCgroup)), [[["same_cgroup_only"], 3]]);
  assertEquals(doubts(kill(h, 3, stranger)), [[["same_host_only"], 3]]);
  assertEquals(doubts(kill(h, 3), kill(h, 4, stranger)), [[[], 3]]);
});

Deno.test("a shortage after the last kill is not part of the group", () => {
  const h = new FakeHost("h");
  const [{ members, sentence }] = run(limit(h, 1), limit(h, 2), kill(h, 3), limit(h, 4, { kind: "emfile" }));
  assertEquals([members.length, sentence], [3, "true (pid 100): 2 of enomem, 1 in 2.0"]);
});
