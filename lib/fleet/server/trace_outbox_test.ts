import { assert, assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { correlate } from "../../../tests/correlation_run.ts";
import { eventually } from "../../../tests/support/fleet_cli.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { untracedGroup } from "./group_json.ts";
import type { StoreCalls, UntracedGroup } from "./store_messages.ts";
import type { FleetStoreHandle } from "./store_handle.ts";
import { TraceOutbox } from "./trace_outbox.ts";

const RULES = `rules:
  - name: pair
    kind: connection_pair
    window_ms: 10000
    severity: debug
    sentence: "{src} {dst}"
`;

/** Of a connection: two events and a flow, with all that a span says of them. */
function pairOf(port: number): CorrelatedGroup {
  const [client, server] = [new FakeHost("client"), new FakeHost("server")];
  const mirrored = { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: port, oldState: "SYN_RECV" as const };
  const { groups } = correlate(RULES, [
    client.event("tcp_state", 1, { sport: port, enrichment: { user: "ann", containerId: "c0ffee" } }),
    server.event("tcp_state", 1.01, mirrored),
    client.flow(1.5, { sport: port, pid: 5, comm: "curl" }),
  ]);
  return groups[0];
}

/** A store that keeps what is asked of it. */
class FakeStore {
  readonly rows: UntracedGroup[];
  readonly struck: string[][] = [];
  /** Calls of `traced` that fail. */
  failures = 0;

  constructor(groups: readonly CorrelatedGroup[]) {
    this.rows = groups.map((group, i) => ({ position: i + 1, body: untracedGroup(group).untraced! }));
  }

  /** In the place of `FleetStoreHandle.call`. */
  readonly call = ((name: keyof StoreCalls, request: unknown) => {
    if (name === "untraced") {
      const { after, limit } = request as StoreCalls["untraced"]["request"];
      return Promise.resolve(this.rows.filter(({ position }) => position > after).slice(0, limit));
    }
    if (this.failures-- > 0) return Promise.reject(new Error("disk full"));
    this.struck.push((request as StoreCalls["traced"]["request"]).ids);
    return Promise.resolve();
  }) as FleetStoreHandle["call"];
}

Deno.test("TraceOutbox sends what an earlier run has left, as it was, a part at a time", async () => {
  const groups = Array.from({ length: 150 }, (_, i) => pairOf(40_000 + i));
  const store = new FakeStore(groups);
  const sent: CorrelatedGroup[] = [];
  let mostWaiting = 0;
  const waiting = new Set<string>();
  {
    await using outbox = new TraceOutbox(store, (text) => assert(false, text));
    await outbox.resend({
      send: (group) => {
        sent.push(group);
        waiting.add(group.id);
        mostWaiting = Math.max(mostWaiting, waiting.size);
        queueMicrotask(() => {
          waiting.delete(group.id);
          outbox.settle([group.id]);
        });
      },
    }, new AbortController().signal);
  }
  assertEquals(sent, groups);
  assertEquals(mostWaiting, 64);
  assertEquals(store.struck.flat(), groups.map(({ id }) => id));
});

Deno.test("TraceOutbox sends the others where one that an earlier run has left cannot be read", async () => {
  const groups = [pairOf(40_000), pairOf(40_001), pairOf(40_002)];
  const store = new FakeStore(groups);
  store.rows[1].body = "not a group";
  const notices: string[] = [];
  const sent: string[] = [];
  await using outbox = new TraceOutbox(store, (text) => notices.push(text));
  await outbox.resend({
    send: ({ id }) => {
      sent.push(id);
      queueMicrotask(() => outbox.settle([id]));
    },
  }, new AbortController().signal);
  assertEquals(sent, [groups[0].id, groups[2].id]);
  assertEquals(notices.length, 1);
});

Deno.test("TraceOutbox stops where it is told to, with traces still under way", async () => {
  const store = new FakeStore([pairOf(40_000)]);
  await using outbox = new TraceOutbox(store, (text) => assert(false, text));
  const stopping = new AbortController();
  const sent = Promise.withResolvers<void>();
  const resending = outbox.resend({ send: () => sent.resolve() }, stopping.signal);
  await sent.promise;
  stopping.abort();
  await resending;
  assertEquals(store.struck, []);
});

Deno.test("TraceOutbox strikes out many at a time, and again what the store did not take", async () => {
  const store = new FakeStore([]);
  store.failures = 1;
  const notices: string[] = [];
  {
    await using outbox = new TraceOutbox(store, (text) => notices.push(text));
    outbox.settle(["a"]);
    outbox.settle(["b", "c"]);
    await eventually(() => notices.length > 0, () => "notice");
    outbox.settle(["d"]);
  }
  assertEquals(notices, ["traces that were sent may be sent again after a restart: disk full"]);
  assertEquals(store.struck, [["a", "b", "c", "d"]]);
});
