import { assertEquals } from "../../../tests/assert.ts";
import { at, FakeHost } from "../../../tests/correlation_records.ts";
import type { EventMatch } from "./correlated_group.ts";
import { eventsIn, matches, startUnixNsOf, unixNsOf } from "./record.ts";

const h = new FakeHost("h");
const open = h.event("file_open", 1, { path: "/etc/shadow", result: 7, uid: 5, comm: "cat", severity: "warning" });

Deno.test("matches() wants every condition to hold", () => {
  const yes: EventMatch[] = [
    {},
    { event: "file_open", uid: 5, comm: "cat", pathPrefix: "/etc/sh" },
    { result: 0 }, // a descriptor is success
    { severity: "warning" },
    { severity: "debug" },
  ];
  const no: EventMatch[] = [
    { event: "process_exec" },
    { uid: 6 },
    { comm: "ca" },
    { pathPrefix: "/etc/shadow-" },
    { result: -13 },
    { severity: "error" },
    { port: 443 },
    { kinds: ["denied"] },
    { signal: 9 },
  ];
  assertEquals(yes.map((match) => matches(match, open)), yes.map(() => true));
  assertEquals(no.map((match) => matches(match, open)), no.map(() => false));
});

Deno.test("matches() looks at what only some events have", () => {
  const refused = h.event("security_violation", 1, { kind: "ptrace", result: -1 });
  assertEquals([matches({ kinds: ["bpf", "ptrace"] }, refused), matches({ kinds: ["bpf"] }, refused)], [true, false]);
  assertEquals([matches({ result: -1 }, refused), matches({ result: 0 }, refused)], [true, false]);
  assertEquals([443, 80].map((port) => matches({ port }, h.event("network_connect", 1))), [true, false]);
  assertEquals([443, 40_000].map((port) => matches({ port }, h.event("tcp_state", 1))), [true, false]);
  assertEquals([9, 15].map((signal) => matches({ signal }, h.event("process_exit", 1, { signal: 9 }))), [true, false]);
  assertEquals(matches({ pathPrefix: "/usr" }, h.event("process_exec", 1)), true);
});

Deno.test("a record begins with the first event that it stands for, and is dated by the last", () => {
  const repeated = h.event("file_open", 5, { repeats: 3, weight: 2 });
  repeated.event.firstNs = repeated.event.tsNs - 1n;
  assertEquals([startUnixNsOf(repeated), unixNsOf(repeated), eventsIn(repeated)], [at(5) - 1n, at(5), 6]);
  const flow = h.flow(5);
  flow.flow.firstSeenNs -= 7n;
  assertEquals([startUnixNsOf(flow), unixNsOf(flow)], [at(5) - 7n, at(5)]);
});
