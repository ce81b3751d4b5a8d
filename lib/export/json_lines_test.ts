import { assert, assertEquals, assertObjectMatch } from "../../tests/assert.ts";
import { flowRow, flowWindow, interfaceTraffic, RETRANSMITS } from "../../tests/support/windows.ts";
import { addWindow, emptyTotals } from "../aggregate/flows/totals.ts";
import {
  alertObject,
  jsonLine,
  measureObject,
  readyObject,
  rfc3339,
  summaryObject,
  windowObject,
} from "./json_lines.ts";

const STAMP = { unixNs: 1_767_323_045_000_000_006n, host: "h" };
const HEAD = { time: "2026-01-02T03:04:05.000000006Z", host: "h" };

/** What a reader of the line gets. */
function roundTrip(object: object): unknown {
  return JSON.parse(jsonLine(object));
}

Deno.test("jsonLine() writes bigints as numbers below 2^53 and as strings from there on", () => {
  const at = 2n ** 53n;
  assertEquals(
    jsonLine([0n, at - 1n, at, at + 1n, -at + 1n, -at]),
    `[0,9007199254740991,"${at}","${at + 1n}",-9007199254740991,"-${at}"]\n`,
  );
});

Deno.test("jsonLine() is one line that neither a terminal nor a line reader trips over", () => {
  const hostile = "a\nb\r\u2028\u2029\u0085\x1b[2J\x9b2J\x7f\u202e\u2066\u200f\ud800é漢";
  const line = jsonLine({ hostile });
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x1f\x7f-\x9f\u200f\u2028-\u202e\u2066]/.test(line.slice(0, -1)), line);
  assertEquals(line.at(-1), "\n");
  assertEquals(JSON.parse(line), { hostile });
});

Deno.test("rfc3339() keeps every nanosecond", () => {
  assertEquals(rfc3339(0n), "1970-01-01T00:00:00.000000000Z");
  assertEquals(rfc3339(1n), "1970-01-01T00:00:00.000000001Z");
  assertEquals(rfc3339(999_999_999n), "1970-01-01T00:00:00.999999999Z");
  assertEquals(rfc3339(1_767_323_045_123_456_789n), "2026-01-02T03:04:05.123456789Z");
});

Deno.test("readyObject() names interfaces, modes and the address", () => {
  const interfaces = [{ name: "eth0", ifindex: 2, mode: "native" as const, egress: null }];
  assertEquals(roundTrip(readyObject(STAMP, { interfaces, listen: "127.0.0.1:9464" })), {
    type: "ready",
    ...HEAD,
    interfaces: [{ name: "eth0", mode: "native", egress: null }],
    listen: "127.0.0.1:9464",
  });
});

Deno.test("windowObject() and summaryObject() say what was sent again, of flows where it is known", () => {
  const top = [flowRow({ retransmits: 0 }), flowRow({ retransmits: 6 }), flowRow()];
  const retransmits = RETRANSMITS;
  const window = flowWindow({ top, retransmits });
  const expected = {
    tcp_retransmits: 10,
    attributed_retransmits: 6,
    unattributed_retransmits: 3,
    overflow_retransmits: 1,
    forwarded_retransmits: 4,
    elsewhere_retransmits: 5,
    retransmit_missed_runs: 2,
  };
  const object = JSON.parse(jsonLine(windowObject("h", window, false)));
  assertObjectMatch(object, expected);
  assertEquals(object.top.map((flow: { retransmits?: number }) => flow.retransmits), [0, 6, undefined]);
  const totals = emptyTotals();
  addWindow(totals, window);
  assertObjectMatch(JSON.parse(jsonLine(summaryObject(STAMP, totals, false))), expected);
});

Deno.test("windowObject() sums over interfaces and spells out flows", () => {
  assertEquals(roundTrip(windowObject("h", flowWindow({ sequence: 7, endNs: 2_000_500_000n }), false)), {
    type: "window",
    ...HEAD,
    sequence: 7,
    start_ns: 1_000_000_000,
    end_ns: 2_000_500_000,
    duration_ms: 1000.5,
    flows: 2,
    capacity: 262_144,
    packets: 140,
    bytes: 14_000,
    overflow_packets: 40,
    overflow_bytes: 4_000,
    other_packets: 20,
    other_bytes: 2_000,
    seen_packets: 200,
    seen_bytes: 20_000,
    other: {
      non_ip: { packets: 8, bytes: 800 },
      truncated: { packets: 6, bytes: 600 },
      malformed: { packets: 4, bytes: 400 },
      fragment: { packets: 2, bytes: 200 },
    },
    interfaces: ["ingress", "egress"].map((direction) => ({
      name: "eth0",
      direction,
      packets: 70,
      bytes: 7_000,
      overflow_packets: 20,
      overflow_bytes: 2_000,
      other_packets: 10,
      other_bytes: 1_000,
      seen_packets: 100,
      seen_bytes: 10_000,
    })),
    top: [{
      iface: "eth0",
      direction: "ingress",
      src: "192.0.2.1",
      dst: "198.51.100.2",
      sport: 40000,
      dport: 443,
      proto: "tcp",
      packets: 60,
      bytes: 6_500,
      tcp_flags: "SA",
      first_seen_ns: 1_000_000_000,
      last_seen_ns: 1_900_000_000,
    }],
  });
});

Deno.test("windowObject() says what a filter matched only where there is one", () => {
  const filtered = windowObject("h", flowWindow(), true);
  assertObjectMatch(filtered, { matched_flows: 1n, matched_packets: 60n, matched_bytes: 6_500n });
  assert(!("matched_flows" in windowObject("h", flowWindow(), false)));
});

Deno.test("windowObject() writes an unknown protocol as its number", () => {
  const { top } = roundTrip(windowObject("h", flowWindow({ top: [flowRow({ proto: 253, tcpFlags: 0 })] }), false)) as {
    top: object[];
  };
  assertObjectMatch(top[0], { proto: "253", tcp_flags: "" });
});

Deno.test("summaryObject() totals the windows and tells whether they balance", () => {
  const totals = emptyTotals();
  addWindow(totals, flowWindow());
  addWindow(totals, flowWindow({ interfaces: [interfaceTraffic()] }));
  const summary = summaryObject(STAMP, totals, false);
  assertObjectMatch(summary, { type: "summary", ...HEAD, windows: 2n, flows: 4n, seen_packets: 300n, balanced: true });

  addWindow(totals, flowWindow({ interfaces: [interfaceTraffic({ flows: { packets: 69, bytes: 7_000 } })] }));
  assertEquals(summaryObject(STAMP, totals, false).balanced, false);
});

Deno.test("measureObject() carries counts, rates and the sizes they assume", () => {
  const measurement = {
    seconds: 10,
    rawEvents: 1_000n,
    summaries: 10n,
    rawRecordBytes: 64,
    summaryRecordBytes: 56,
    overflowPackets: 3n,
    seenPackets: 1_004n,
  };
  assertEquals(roundTrip(measureObject(STAMP, measurement)), {
    type: "measure",
    ...HEAD,
    seconds: 10,
    raw_events: 1_000,
    summaries: 10,
    reduction_ratio: 100,
    raw_bytes_per_second: 6_400,
    summary_bytes_per_second: 56,
    raw_record_bytes: 64,
    summary_record_bytes: 56,
    overflow_packets: 3,
    seen_packets: 1_004,
  });
  assertObjectMatch(measureObject(STAMP, { ...measurement, rawEvents: 0n, summaries: 0n }), { reduction_ratio: null });
});

Deno.test("alertObject() follows the contract", () => {
  assertEquals(roundTrip(alertObject(STAMP, "flow_overflow", "flow map full", { packets: 5n })), {
    type: "alert",
    ...HEAD,
    alert: "flow_overflow",
    message: "flow map full",
    packets: 5,
  });
});

Deno.test("windowObject() marks estimates with their bounds and names the networks of the overflow", () => {
  const estimate = flowRow({ packets: 50, bytes: 5_000, errorPackets: 3, errorBytes: 400 });
  const window = flowWindow({
    top: [flowRow(), estimate],
    overflow: {
      estimates: [{ ...estimate, errorPackets: 3, errorBytes: 400 }],
      prefixes: [{ iface: "eth0", direction: "ingress", prefix: "192.0.2.0/24", packets: 30, bytes: 3_000 }],
      prefixCount: 4,
      rest: { packets: 10, bytes: 1_000 },
    },
  });
  const object = windowObject("h", window, false);
  const [exact, estimated] = object.top as Record<string, unknown>[];
  assertEquals([exact.estimate, exact.error_packets], [undefined, undefined]);
  assertEquals([estimated.estimate, estimated.error_packets, estimated.error_bytes], [true, 3, 400]);
  assertEquals(object.overflow_prefixes, [
    { iface: "eth0", direction: "ingress", prefix: "192.0.2.0/24", packets: 30, bytes: 3_000 },
  ]);
  assertEquals([object.overflow_prefix_count, object.overflow_rest_packets, object.overflow_rest_bytes], [
    4,
    10,
    1_000,
  ]);
});
