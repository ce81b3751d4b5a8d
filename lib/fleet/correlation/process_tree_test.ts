import { assertAlmostEquals, assertEquals } from "../../../tests/assert.ts";
import { at, FakeHost } from "../../../tests/correlation_records.ts";
import { correlate } from "../../../tests/correlation_run.ts";

const RULES = `rules:
  - name: tree
    kind: process_tree
    window_ms: 10000
    steps: [{ event: process_exec }, { event: network_connect }, { event: file_open, path_prefix: /etc/ }]
    severity: info
    sentence: "{filename} {processes} {connects} {opens} {exits} {peers} {paths} {seconds}"
`;

const host = () => new FakeHost("h");
const roles = (members: { role: string; parent: number | null }[]) => members.map(({ role, parent }) => [role, parent]);

Deno.test("a lineage gathers what a program and its children do, each below who did it", () => {
  const h = host();
  const { groups } = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10, ppid: 1, filename: "/bin/sh" }),
    h.event("process_exec", 2, { pid: 11, ppid: 10 }),
    h.event("network_connect", 3, { pid: 11, family: "ipv6", address: "2001:db8::1" }),
    h.event("process_exit", 4, { pid: 11 }),
    h.event("file_open", 5, { pid: 10, path: "/etc/a" }),
    h.event("file_open", 5.5, { pid: 10, path: "/var/b" }), // no step: not kept
    h.event("process_exit", 6, { pid: 10 }),
  ]);
  assertEquals(groups.length, 1);
  const [{ key, sentence, members, closed, confidence }] = groups;
  assertEquals([key, closed, confidence], ["h/10", "ended", 1]);
  assertEquals(sentence, "/bin/sh 2 1 1 2 [2001:db8::1]:443 /etc/a 5.0");
  assertEquals(roles(members), [["process", null], ["process", 0], ["step", 1], ["exit", 1], ["step", 0], ["exit", 0]]);
});

Deno.test("steps count in their order and within the window only", () => {
  const run = (connectAt: number, openAt: number) => {
    const h = host();
    return correlate(RULES, [
      h.event("process_exec", 1, { pid: 10 }),
      h.event("network_connect", connectAt, { pid: 10 }),
      h.event("file_open", openAt, { pid: 10 }),
      h.event("process_exit", 30, { pid: 10 }),
    ]).groups.length;
  };
  assertEquals([run(2, 3), run(3, 2), run(2, 11), run(2, 11.001)], [1, 0, 1, 0]);
});

Deno.test("a pid that comes again after an exit is another process, in another lineage", () => {
  const h = host();
  const { groups, stats } = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10 }),
    h.event("process_exec", 1.5, { pid: 11, ppid: 10 }),
    h.event("network_connect", 2, { pid: 11 }),
    h.event("process_exit", 3, { pid: 11 }),
    h.event("process_exec", 3.5, { pid: 11, ppid: 1 }),
    h.event("file_open", 4, { pid: 11 }),
    h.event("process_exit", 5, { pid: 11 }),
    h.event("process_exit", 6, { pid: 10 }),
  ]);
  assertEquals([groups.length, stats.pidReuseGuessed, stats.processes], [0, 0, 0]);
});

Deno.test("a pid whose exit was lost is another process when it has another parent, else it runs another program", () => {
  const run = (ppid: number) => {
    const h = host();
    return correlate(RULES, [
      h.event("process_exec", 1, { pid: 10, ppid: 1 }),
      h.event("network_connect", 2, { pid: 10 }),
      h.event("process_exec", 3, { pid: 10, ppid }),
      h.event("file_open", 4, { pid: 10 }),
      h.event("process_exit", 5, { pid: 10 }),
    ]);
  };
  const replaced = run(1);
  assertEquals([replaced.groups.length, replaced.stats.pidReuseGuessed], [1, 0]);
  const [{ members }] = replaced.groups;
  assertEquals(roles(members), [["process", null], ["step", 0], ["process", 0], ["step", 2], ["exit", 2]]);
  // Both programs were one process, which ended with its exit.
  assertEquals(members[0].endUnixNs, members[4].endUnixNs);
  assertEquals(members[2].endUnixNs, members[4].endUnixNs);
  const reused = run(7);
  assertEquals([reused.groups.length, reused.stats.pidReuseGuessed], [0, 1]);
});

Deno.test("a child that runs its parent's program belongs to it if the agent says so, with less confidence", () => {
  const run = (ppid?: number) => {
    const h = host();
    return correlate(RULES, [
      h.event("process_exec", 1, { pid: 10 }),
      h.event("network_connect", 2, { pid: 11, ...ppid && { enrichment: { ppid } } }),
      h.event("file_open", 3, { pid: 10 }),
      h.event("process_exit", 4, { pid: 10 }),
      h.event("process_exit", 5, { pid: 11 }),
    ]);
  };
  const [group] = run(10).groups;
  assertEquals([group.doubts, group.members.length, group.members[1].parent], [["parent_from_enrichment"], 5, 0]);
  assertAlmostEquals(group.confidence, 0.9);
  const unknown = run();
  assertEquals([unknown.groups.length, unknown.stats.withoutLineage], [0, 1]);
});

Deno.test("a child that starts after the window begins a lineage of its own, with a full window", () => {
  const h = host();
  const { groups } = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10 }),
    h.event("process_exec", 10.9, { pid: 11, ppid: 10 }), // joins
    h.event("process_exec", 11.1, { pid: 12, ppid: 10 }), // does not
    ...[11, 12].map((pid) => h.event("network_connect", 15, { pid })),
    ...[11, 12].map((pid) => h.event("file_open", 20, { pid })),
    ...[11, 12].map((pid) => h.event("process_exit", 20.5, { pid })),
  ]);
  assertEquals(groups.map(({ key }) => key).sort(), ["h/10", "h/12"]);
});

Deno.test("a process whose exit was not seen lasts until what it did last", () => {
  const h = host();
  const [{ members }] = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10 }),
    h.event("network_connect", 2, { pid: 10 }),
    h.event("file_open", 3, { pid: 10 }),
  ]).groups;
  assertEquals([members[0].startUnixNs, members[0].endUnixNs], [at(1), at(3)]);
});

Deno.test("the same pids on two hosts have nothing to do with each other", () => {
  const [a, b] = [new FakeHost("a"), new FakeHost("b")];
  const { groups } = correlate(RULES, [
    a.event("process_exec", 1, { pid: 10 }),
    b.event("network_connect", 2, { pid: 10 }),
    a.event("file_open", 3, { pid: 10 }),
  ]);
  assertEquals(groups, []);
});

Deno.test("processes and members beyond the bounds are counted, and lower the confidence", () => {
  const h = host();
  const { groups, stats } = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10 }),
    h.event("network_connect", 2, { pid: 10 }),
    ...Array.from({ length: 5 }, (_, i) => h.event("file_open", 3 + i / 10, { pid: 10 })),
    h.event("process_exit", 4, { pid: 10 }),
  ], { groupMembersMax: 4 });
  assertEquals([groups[0].members.length, groups[0].membersLeftOut, stats.membersLeftOut], [4, 4, 4]);
  assertEquals([groups[0].doubts, groups[0].confidence], [["members_left_out"], 0.95]);

  const other = host();
  const evicted = correlate(RULES, [
    other.event("process_exec", 1, { pid: 10 }),
    other.event("process_exec", 2, { pid: 11, ppid: 10 }),
    other.event("process_exec", 3, { pid: 12, ppid: 10 }),
    other.event("network_connect", 4, { pid: 12 }),
    other.event("file_open", 5, { pid: 12 }),
    other.event("process_exit", 6, { pid: 12 }),
  ], { processesMax: 2 });
  assertEquals([evicted.stats.processesEvicted, evicted.groups.map(({ doubts }) => doubts)], [1, [["history_lost"]]]);
});

Deno.test("what comes from a host cannot write on a terminal", () => {
  const h = host();
  const { groups } = correlate(RULES, [
    h.event("process_exec", 1, { pid: 10, filename: "/tmp/\x1b[2J" }),
    h.event("network_connect", 2, { pid: 10 }),
    h.event("file_open", 3, { pid: 10, path: "/etc/{host}" }),
    h.event("process_exit", 4, { pid: 10 }),
  ]);
  assertEquals(groups[0].sentence, "/tmp/\\x1b[2J 1 1 1 1 192.0.2.1:443 /etc/{host} 3.0");
});
