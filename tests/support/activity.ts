/** Windows of process activity as the aggregator reports them, for the tests of whatever consumes them. */
import { DURATION_BUCKETS } from "../../lib/aggregate/activity/process_histogram.ts";
import type { ProcessRow, ProcessWindow, SyscallRow } from "../../lib/aggregate/activity/process_window.ts";
import { DEFAULT_ARRANGEMENT } from "../../lib/aggregate/activity/process_reducer.ts";

/** Ten calls of 128 to 255 ns, and so many of 1 to 2 ms. */
export function durations(long = 0): number[] {
  const buckets = new Array(DURATION_BUCKETS).fill(0);
  buckets[1] = 10;
  buckets[14] = long;
  return buckets;
}

export function processRow(overrides: Partial<ProcessRow> = {}): ProcessRow {
  return {
    pid: 1234,
    startedNs: 5_000_000_000n,
    comm: "nginx",
    uid: 33,
    gid: 33,
    cgroupId: 9n,
    calls: 60,
    errors: 6,
    totalNs: 600_000n,
    bytesIn: 4_000,
    bytesOut: 70_000,
    minNs: 130n,
    maxNs: 1_900_000n,
    histogram: durations(1),
    syscalls: [
      { name: "write", abi: "native", calls: 50, errors: 0, totalNs: 500_000n, bytesIn: 0, bytesOut: 70_000 },
      { name: "openat", abi: "compat", calls: 10, errors: 6, totalNs: 100_000n, bytesIn: 0, bytesOut: 0 },
    ],
    exe: "/usr/sbin/nginx",
    container: "0123456789abcdef".repeat(4),
    podUid: "",
    user: "www-data",
    ...overrides,
  };
}

export function syscallRow(overrides: Partial<SyscallRow> = {}): SyscallRow {
  return {
    name: "write",
    abi: "native",
    number: 1,
    processes: 2,
    calls: 50,
    errors: 0,
    totalNs: 500_000n,
    bytesIn: 0,
    bytesOut: 70_000,
    minNs: 130n,
    maxNs: 250n,
    histogram: durations(),
    ...overrides,
  };
}

/** One second that balances, ending at 2026-01-02T03:04:05.000000006Z: 120 calls, 20 of them in overflow. */
export function processWindow(overrides: Partial<ProcessWindow> = {}): ProcessWindow {
  return {
    sequence: 0,
    startNs: 1_000_000_000n,
    endNs: 2_000_000_000n,
    endUnixNs: 1_767_323_045_000_000_006n,
    sampling: 1,
    missedRuns: 0n,
    entries: 3,
    capacity: 8_192,
    processes: 2,
    seen: { calls: 120, errors: 12, totalNs: 1_200_000n },
    counted: { calls: 100, errors: 10, totalNs: 1_000_000n },
    overflow: { calls: 20, errors: 2, totalNs: 200_000n },
    unentered: 3,
    passedOver: 4,
    matched: { calls: 100, errors: 10, totalNs: 1_000_000n },
    arrangement: DEFAULT_ARRANGEMENT,
    top: [
      processRow(),
      processRow({ pid: 7, comm: "a\x1b[2Jb", user: "", uid: 1000, container: "", calls: 40, exe: "" }),
    ],
    syscalls: [syscallRow(), syscallRow({ name: "openat", abi: "compat", number: 295, processes: 1, calls: 10 })],
    groups: [],
    totals: [],
    ...overrides,
  };
}
