import { assertEquals } from "../../../tests/assert.ts";
import { fleetEvent } from "../../../tests/support/fleet_events.ts";
import { Batch } from "../proto/ebpfmon.gen.ts";
import { encodeEvent } from "../event_codec.ts";
import { encodeWindow } from "../window_codec.ts";
import type { FlowRow } from "../../aggregate/windows/flow_window.ts";
import { fleetRecords } from "./fleet_records.ts";
import type { ReceivedBatch } from "../received_batch.ts";

const SECOND_NS = 1_000_000_000n;

function received(content: Partial<Batch>): ReceivedBatch {
  return {
    agent: "agent-1",
    spool: "00",
    host: "host-1",
    version: "0",
    bootId: "boot",
    severity: "info",
    sequence: 12,
    events: 0,
    content: { ...Batch.decode(new Uint8Array(0)), bootUnixNs: 1_800_000_000n * SECOND_NS, ...content },
    receivedUnixMs: 0,
  };
}

Deno.test("fleetRecords() dates events by the agent's clocks, and numbers them", () => {
  const events = [fleetEvent(0), fleetEvent(1)].map(encodeEvent);
  const { records, unknown } = fleetRecords(received({ events: [events[0], { ...events[1], type: 0 }, events[1]] }));
  assertEquals(unknown, 1);
  assertEquals(records, [
    { agent: "agent-1", sequence: (12 * 5 + 3) * 1024, unixNs: 1_800_000_000n * SECOND_NS + 1n, ...fleetEvent(0) },
    { agent: "agent-1", sequence: (12 * 5 + 3) * 1024 + 2, unixNs: 1_800_000_000n * SECOND_NS + 2n, ...fleetEvent(1) },
  ]);
});

Deno.test("fleetRecords() gives flows their window on the wall clock", () => {
  const flow: FlowRow = {
    iface: "eth0",
    direction: "ingress",
    src: "192.0.2.1",
    dst: "192.0.2.2",
    sport: 1,
    dport: 2,
    proto: 17,
    packets: 3,
    bytes: 4,
    tcpFlags: 0,
    firstSeenNs: 5n,
    lastSeenNs: 6n,
    pid: 7,
  };
  const none = { packets: 0, bytes: 0 };
  const windows = encodeWindow({
    sequence: 0,
    startNs: 10n * SECOND_NS,
    endNs: 11n * SECOND_NS,
    endUnixNs: 1_800_000_011n * SECOND_NS,
    flows: 1,
    capacity: 1,
    interfaces: [],
    matched: { ...none, flows: 1 },
    top: [flow],
    swapSeconds: 0,
    drainSeconds: 0,
    programs: [],
  }, 10);
  assertEquals(fleetRecords(received({ windows })).records, [{
    agent: "agent-1",
    sequence: (12 * 5 + 3) * 1024,
    startUnixNs: 1_800_000_010n * SECOND_NS,
    endUnixNs: 1_800_000_011n * SECOND_NS,
    bootUnixNs: 1_800_000_000n * SECOND_NS,
    flow,
  }]);
});
