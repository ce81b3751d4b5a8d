import { assertEquals } from "../../../tests/assert.ts";
import { writeField } from "../../wire/layout.ts";
import { FLOW4_KEY, FLOW_VALUE } from "../../wire/layouts.gen.ts";
import type { FilterableFlow } from "../../filter/flows.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import type { MapBatch } from "../../wire/records.ts";
import type { FlowOwnerSource } from "../owners/flow_owner_source.ts";
import { FlowReducer } from "./flow_reducer.ts";
import type { ProcessIdentity } from "../../processes/process_identity.ts";
import { TickClock } from "../windows/tick_clock.ts";

const CLOCK = new TickClock({ monotonicNs: 10_000_000_000n, jiffies: 1_000n });
const CONTAINER = "f".repeat(64);

/** Each flow from an even port has an owner, of that number; port 40002's is in a container. */
class Owners implements FlowOwnerSource {
  asked = 0;

  ownerOf({ sport }: FilterableFlow): ProcessIdentity | null {
    this.asked++;
    if (sport % 2 !== 0) return null;
    return { pid: sport, startedNs: 1n, comm: `p${sport}`, uid: 0, gid: 0, cgroupId: BigInt(sport) };
  }

  containerOf({ cgroupId }: ProcessIdentity): string {
    return cgroupId === 40_002n ? CONTAINER : "";
  }

  describe(owner: ProcessIdentity) {
    return { exe: `/bin/${owner.comm}`, container: this.containerOf(owner), podUid: "", user: "root" };
  }
}

/** Flows from ports 40000 on: one packet of 100 bytes each, the first more. */
function batch(flows: number): MapBatch {
  const keys = new DataView(new ArrayBuffer(flows * FLOW4_KEY.size));
  const values = new DataView(new ArrayBuffer(flows * FLOW_VALUE.size));
  for (let i = 0; i < flows; i++) {
    writeField(keys, FLOW4_KEY, "sport", 40_000 + i, i * FLOW4_KEY.size);
    writeField(keys, FLOW4_KEY, "proto", 6, i * FLOW4_KEY.size);
    writeField(values, FLOW_VALUE, "packets", BigInt(flows - i), i * FLOW_VALUE.size);
    writeField(values, FLOW_VALUE, "bytes", 100n, i * FLOW_VALUE.size);
    writeField(values, FLOW_VALUE, "first_seen_jiffies", 1_000n, i * FLOW_VALUE.size);
  }
  return { count: flows, keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

function windowOf(flows: number, { filter, owners = null, topMax = 10 }: {
  filter?: string;
  owners?: FlowOwnerSource | null;
  topMax?: number;
}) {
  const reducer = new FlowReducer({
    interfaceOfSlot: ["eth0"],
    valuesPerEntry: 1,
    topMax,
    filter: filter === undefined ? null : parseFlowFilter(filter),
    owners,
  });
  reducer.addBatch(4, batch(flows));
  return reducer.finish(CLOCK);
}

Deno.test("FlowReducer names the owners of the rows, and says how much of the traffic has one", () => {
  const { top, attribution } = windowOf(3, { owners: new Owners() });
  assertEquals(top.map(({ sport, pid, comm, exe, container }) => ({ sport, pid, comm, exe, container })), [
    { sport: 40_000, pid: 40_000, comm: "p40000", exe: "/bin/p40000", container: "" },
    { sport: 40_001, pid: undefined, comm: undefined, exe: undefined, container: undefined },
    { sport: 40_002, pid: 40_002, comm: "p40002", exe: "/bin/p40002", container: CONTAINER },
  ]);
  assertEquals(attribution, {
    attributed: { packets: 4, bytes: 200 },
    unattributed: { packets: 2, bytes: 100 },
    unasked: { packets: 0, bytes: 0 },
  });
});

Deno.test("FlowReducer without owners has no fields for them", () => {
  const { top, attribution } = windowOf(1, {});
  assertEquals([Object.hasOwn(top[0], "pid"), attribution], [false, undefined]);
});

Deno.test("FlowReducer filters by owner before it ranks, and asks for that only where the filter comes to it", () => {
  const rows = (filter: string) => {
    const owners = new Owners();
    const { top, matched, attribution } = windowOf(6, { filter, owners, topMax: 1 });
    return { ports: top.map(({ sport }) => sport), matched: matched.flows, attribution, asked: owners.asked };
  };
  const sums = (attributed: number, unattributed: number) => ({
    attributed: { packets: attributed, bytes: attributed > 0 ? 100 : 0 },
    unattributed: { packets: unattributed, bytes: unattributed > 0 ? 100 : 0 },
    unasked: { packets: 0, bytes: 0 },
  });
  // Six for the filter, one more for the row.
  assertEquals(rows("comm p40004"), { ports: [40_004], matched: 1, attribution: sums(2, 0), asked: 7 });
  assertEquals(rows("pid 40002"), { ports: [40_002], matched: 1, attribution: sums(4, 0), asked: 7 });
  assertEquals(rows("container ffff"), { ports: [40_002], matched: 1, attribution: sums(4, 0), asked: 7 });
  assertEquals(rows("src port 40005 and not pid 1"), {
    ports: [40_005],
    matched: 1,
    attribution: sums(0, 1),
    asked: 2,
  });
});

Deno.test("FlowReducer looks up so many flows of a window for the sum, and counts the others as such", () => {
  const owners = new Owners();
  const { attribution, matched } = windowOf(10_000, { owners, topMax: 5 });
  const { attributed, unattributed, unasked } = attribution!;
  assertEquals(owners.asked, 2_048 + 5);
  assertEquals([attributed.bytes, unattributed.bytes, unasked.bytes], [102_400, 102_400, 795_200]);
  assertEquals(attributed.packets + unattributed.packets + unasked.packets, matched.packets);
});
