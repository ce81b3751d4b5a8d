import { assertEquals } from "../../../tests/assert.ts";
import { connections, flowKey, HERE, reversed } from "../../../tests/support/retransmits.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import { writeField } from "../../wire/layout.ts";
import { FLOW_VALUE } from "../../wire/layouts.gen.ts";
import { RetransmitTable } from "../retransmits/retransmit_table.ts";
import { TickClock } from "../windows/tick_clock.ts";
import { FlowReducer } from "./flow_reducer.ts";

const V4 = { src: "192.0.2.1", sport: 50_000, dst: "198.51.100.2", dport: 443 };
const NOTHING = { seen: 0, overflow: 0 };

Deno.test("FlowReducer joins what was sent again to flows, whatever the filter, and ranks by it", () => {
  const retransmits = new RetransmitTable(HERE);
  const reducer = new FlowReducer({
    interfaceOfSlot: ["eth0"],
    valuesPerEntry: 1,
    topMax: 2,
    order: "retransmits",
    filter: parseFlowFilter("not port 22"),
    retransmits,
  });
  const ssh = { ...V4, dport: 22 };
  const quiet = { ...V4, sport: 50_003 };
  const small = { ...V4, sport: 50_004 };
  retransmits.addBatch(connections({ ...small, segments: 2n }, { ...ssh, segments: 9n }));
  const flows = [
    { key: flowKey(quiet), packets: 900n },
    { key: flowKey(reversed(quiet), { ingress: true }), packets: 800n },
    { key: flowKey(ssh), packets: 50n },
    { key: flowKey(small), packets: 10n },
  ];
  const values = new DataView(new ArrayBuffer(flows.length * FLOW_VALUE.size));
  flows.forEach(({ packets }, i) => {
    writeField(values, FLOW_VALUE, "packets", packets, i * FLOW_VALUE.size);
    writeField(values, FLOW_VALUE, "first_seen_jiffies", 1n, i * FLOW_VALUE.size);
  });
  const keys = Uint8Array.from(flows.flatMap(({ key }) => [...key.bytes]));
  reducer.addBatch(4, { count: flows.length, keys, values: new Uint8Array(values.buffer) });
  const { top } = reducer.finish(new TickClock({ monotonicNs: 10_000_000_000n, jiffies: 1_000n }));
  assertEquals(top.map(({ sport, retransmits }) => [sport, retransmits]), [[50_004, 2], [50_003, 0]]);
  assertEquals(retransmits.finish({ home: { seen: 11, overflow: 0 }, other: NOTHING }, 0).attributed, 11);
});
