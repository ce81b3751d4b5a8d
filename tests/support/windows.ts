/** Windows as the aggregator reports them, for the tests of whatever consumes them. */

import type {
  FlowRow,
  FlowWindow,
  InterfaceTraffic,
  WindowRetransmits,
} from "../../lib/aggregate/windows/flow_window.ts";
import { addWindow, emptyTotals } from "../../lib/aggregate/flows/totals.ts";
import { Histogram, SECONDS_BOUNDS } from "../../lib/metrics/histogram.ts";
import type { MetricsSnapshot } from "../../lib/export/metrics.ts";

/** A balanced 100 packets / 10,000 bytes: 70 in flows, 20 in overflow, 4 + 3 + 2 + 1 in no flow. */
export function interfaceTraffic(overrides: Partial<InterfaceTraffic> = {}): InterfaceTraffic {
  return {
    iface: "eth0",
    direction: "ingress",
    seen: { packets: 100, bytes: 10_000 },
    flows: { packets: 70, bytes: 7_000 },
    overflow: { packets: 20, bytes: 2_000 },
    other: {
      non_ip: { packets: 4, bytes: 400 },
      truncated: { packets: 3, bytes: 300 },
      malformed: { packets: 2, bytes: 200 },
      fragment: { packets: 1, bytes: 100 },
    },
    ...overrides,
  };
}

/** All of them different. */
export const RETRANSMITS: WindowRetransmits = {
  segments: 10,
  attributed: 6,
  unattributed: 3,
  overflow: 1,
  forwarded: 4,
  elsewhere: 5,
  missedRuns: 2,
};

export function flowRow(overrides: Partial<FlowRow> = {}): FlowRow {
  return {
    iface: "eth0",
    direction: "ingress",
    src: "192.0.2.1",
    dst: "198.51.100.2",
    sport: 40000,
    dport: 443,
    proto: 6,
    packets: 60,
    bytes: 6_500,
    tcpFlags: 0x12,
    firstSeenNs: 1_000_000_000n,
    lastSeenNs: 1_900_000_000n,
    ...overrides,
  };
}

/** One second of eth0, both directions, ending at 2026-01-02T03:04:05.000000006Z. */
export function flowWindow(overrides: Partial<FlowWindow> = {}): FlowWindow {
  return {
    sequence: 0,
    startNs: 1_000_000_000n,
    endNs: 2_000_000_000n,
    endUnixNs: 1_767_323_045_000_000_006n,
    flows: 2,
    capacity: 262_144,
    interfaces: [interfaceTraffic(), interfaceTraffic({ direction: "egress" })],
    matched: { flows: 1, packets: 60, bytes: 6_500 },
    top: [flowRow()],
    swapSeconds: 0.0012,
    drainSeconds: 0.0034,
    programs: [],
    ...overrides,
  };
}

/** Metrics after `flowWindow()`. */
export function metricsSnapshot(overrides: Partial<MetricsSnapshot> = {}): MetricsSnapshot {
  const window = flowWindow();
  const totals = emptyTotals();
  addWindow(totals, window);
  const swapSeconds = new Histogram(SECONDS_BOUNDS);
  swapSeconds.observe(window.swapSeconds);
  const drainSeconds = new Histogram(SECONDS_BOUNDS);
  drainSeconds.observe(window.drainSeconds);
  return {
    build: { version: "1.2.3", libbpf: "1.5" },
    totals,
    lastWindow: window,
    swapSeconds,
    drainSeconds,
    events: null,
    programs: [{ program: "flow_ingress", runs: 10n, runNs: 1_500_000_000n }],
    process: { residentMemoryBytes: 1_000_000, startTimeSeconds: 1_700_000_000.5, cpuSeconds: 0.25 },
    ...overrides,
  };
}
