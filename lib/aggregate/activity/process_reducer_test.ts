import { assertEquals } from "../../../tests/assert.ts";
import { writeField } from "../../wire/layout.ts";
import { PROCESS_KEY, PROCESS_VALUE } from "../../wire/layouts.gen.ts";
import type { ActivityArrangement, ActivityOrder } from "./activity_options.ts";
import type { MapBatch } from "../../wire/records.ts";
import { activityName } from "./syscall_kinds.ts";
import { DEFAULT_ARRANGEMENT, ProcessReducer, type ProcessReducerOptions } from "./process_reducer.ts";
import { noCalls, processBalance } from "./activity_sums.ts";

const OPTIONS: ProcessReducerOptions = {
  machine: "x86_64",
  valuesPerEntry: 1,
  topMax: 10,
  arrangement: DEFAULT_ARRANGEMENT,
  labelOf: (by, { uid, cgroupId }) => by === "user" ? `user ${uid}` : `container ${cgroupId}`,
};

function reducerOf(arrangement: Partial<ActivityArrangement>, options: Partial<ProcessReducerOptions> = {}) {
  return new ProcessReducer({ ...OPTIONS, arrangement: { ...DEFAULT_ARRANGEMENT, ...arrangement }, ...options });
}
const READ = 0, WRITE = 1, CLOSE = 3, MMAP = 9, SENDFILE = 40, GETPPID = 110;

// deno-fmt-ignore
const GOLDEN_KEY = [
  0, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, // started_ns 1,000,000,000
  0xd2, 0x04, 0, 0,                // pid 1234
  110, 0,                          // number getppid
  0,                               // abi native
  0,                               // pad0
];

// deno-fmt-ignore
const GOLDEN_VALUE = [
  3, 0, 0, 0, 0, 0, 0, 0,          // calls
  1, 0, 0, 0, 0, 0, 0, 0,          // errors
  0xe8, 3, 0, 0, 0, 0, 0, 0,       // total_ns 1000
  100, 0, 0, 0, 0, 0, 0, 0,        // min_ns
  0x58, 2, 0, 0, 0, 0, 0, 0,       // max_ns 600
  0xff, 0, 0, 0, 0, 0, 0, 0,       // moved: a result, but not of bytes
  9, 0, 0, 0, 0, 0, 0, 0,          // noted_ns
  0, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, // identity.started_ns
  7, 0, 0, 0, 0, 0, 0, 0,          // identity.cgroup_id
  0xd2, 0x04, 0, 0,                // identity.pid
  0xe8, 3, 0, 0,                   // identity.uid 1000
  100, 0, 0, 0,                    // identity.gid
  0, 0, 0, 0,                      // identity.pad0
  0x64, 0x61, 0x74, 0x65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // identity.comm "date"
  1, 0, 0, 0,                      // histogram: below 128 ns
  0, 0, 0, 0,
  1, 0, 0, 0,                      // 256 to 511
  1, 0, 0, 0,                      // 512 to 1023
  ...new Array(28 * 4).fill(0),
];

interface Counted {
  calls?: bigint;
  errors?: bigint;
  totalNs?: bigint;
  minNs?: bigint;
  maxNs?: bigint;
  moved?: bigint;
  notedNs?: bigint;
  comm?: string;
  uid?: number;
  cgroupId?: bigint;
}

function key(pid: number, number: number, options: { startedNs?: bigint; abi?: number } = {}): number[] {
  const view = new DataView(new ArrayBuffer(PROCESS_KEY.size));
  writeField(view, PROCESS_KEY, "pid", pid);
  writeField(view, PROCESS_KEY, "number", number);
  writeField(view, PROCESS_KEY, "started_ns", options.startedNs ?? 1n);
  writeField(view, PROCESS_KEY, "abi", options.abi ?? 0);
  return [...new Uint8Array(view.buffer)];
}

function value(counted: Counted): number[] {
  const { calls = 1n, errors = 0n, totalNs = 0n, minNs = 0n, maxNs = 0n, moved = 0n, notedNs = 1n, comm = "one" } =
    counted;
  const { uid = 0, cgroupId = 0n } = counted;
  const view = new DataView(new ArrayBuffer(PROCESS_VALUE.size));
  writeField(view, PROCESS_VALUE, "calls", calls);
  writeField(view, PROCESS_VALUE, "errors", errors);
  writeField(view, PROCESS_VALUE, "total_ns", totalNs);
  writeField(view, PROCESS_VALUE, "min_ns", minNs);
  writeField(view, PROCESS_VALUE, "max_ns", maxNs);
  writeField(view, PROCESS_VALUE, "moved", moved);
  writeField(view, PROCESS_VALUE, "noted_ns", notedNs);
  writeField(view, PROCESS_VALUE, "identity.comm", comm);
  writeField(view, PROCESS_VALUE, "identity.uid", uid);
  writeField(view, PROCESS_VALUE, "identity.cgroup_id", cgroupId);
  return [...new Uint8Array(view.buffer)];
}

const UNTOUCHED = new Array(PROCESS_VALUE.size).fill(0);

function batchOf(entries: { key: number[]; values: number[][] }[]): MapBatch {
  return {
    count: entries.length,
    keys: Uint8Array.from(entries.flatMap(({ key }) => key)),
    values: Uint8Array.from(entries.flatMap(({ values }) => values.flat())),
  };
}

Deno.test("ProcessReducer reads each field of an entry", () => {
  const reducer = new ProcessReducer(OPTIONS);
  reducer.addBatch(batchOf([{ key: GOLDEN_KEY, values: [GOLDEN_VALUE] }]));
  const histogram = [1, 0, 1, 1, ...new Array(28).fill(0)];
  const counted = { calls: 3, errors: 1, totalNs: 1_000n };
  const noBytes = { bytesIn: 0, bytesOut: 0 };
  const activity = { ...counted, ...noBytes, minNs: 100n, maxNs: 600n, histogram };
  const window = reducer.finish();
  assertEquals(window.top, [{
    pid: 1234,
    startedNs: 1_000_000_000n,
    comm: "date",
    uid: 1000,
    gid: 100,
    cgroupId: 7n,
    ...activity,
    syscalls: [{ name: "getppid", abi: "native", ...counted, ...noBytes }],
  }]);
  assertEquals(window.syscalls, [{ name: "getppid", abi: "native", number: 110, processes: 1, ...activity }]);
  assertEquals([window.counted, window.matched], [counted, counted]);
  assertEquals([window.entries, window.processes], [1, 1]);
});

Deno.test("ProcessReducer adds the CPUs of an entry up, and leaves out those that saw nothing of it", () => {
  const reducer = new ProcessReducer({ ...OPTIONS, valuesPerEntry: 3 });
  const values = [
    value({ calls: 2n, totalNs: 300n, minNs: 100n, maxNs: 200n }),
    UNTOUCHED,
    value({ calls: 5n, errors: 4n, totalNs: 500n, minNs: 50n, maxNs: 120n }),
  ];
  reducer.addBatch(batchOf([{ key: key(1, READ), values }]));
  const [row] = reducer.finish().top;
  assertEquals([row.calls, row.errors, row.totalNs, row.minNs, row.maxNs], [7, 4, 800n, 50n, 200n]);
});

Deno.test("ProcessReducer names a process by what was noted last", () => {
  const reducer = new ProcessReducer({ ...OPTIONS, valuesPerEntry: 2 });
  reducer.addBatch(batchOf([
    { key: key(1, READ), values: [value({ notedNs: 5n, comm: "shell" }), value({ notedNs: 9n, comm: "date" })] },
    { key: key(1, CLOSE), values: [value({ notedNs: 6n, comm: "shell" }), UNTOUCHED] },
  ]));
  assertEquals(reducer.finish().top.map(({ comm, calls }) => ({ comm, calls })), [{ comm: "date", calls: 3 }]);
});

Deno.test("ProcessReducer keeps processes of one number apart, and the tables of one number", () => {
  const reducer = new ProcessReducer(OPTIONS);
  reducer.addBatch(batchOf([
    { key: key(1, GETPPID, { startedNs: 1n }), values: [value({ calls: 1n })] },
    { key: key(1, GETPPID, { startedNs: 2n }), values: [value({ calls: 2n })] },
    { key: key(1, GETPPID, { startedNs: 2n, abi: 1 }), values: [value({ calls: 4n })] },
  ]));
  const { top, syscalls } = reducer.finish();
  assertEquals(top.map(({ startedNs, calls }) => ({ startedNs, calls })), [
    { startedNs: 2n, calls: 6 },
    { startedNs: 1n, calls: 1 },
  ]);
  assertEquals(syscalls.map(({ name, abi, calls, processes }) => ({ name, abi, calls, processes })), [
    { name: "iopl", abi: "compat", calls: 4, processes: 1 },
    { name: "getppid", abi: "native", calls: 3, processes: 2 },
  ]);
});

Deno.test("ProcessReducer ranks by calls, time or errors, and settles what is equal by number", () => {
  const entries = [
    { key: key(4, READ), values: [value({ calls: 9n, totalNs: 10n, errors: 0n })] },
    { key: key(3, READ), values: [value({ calls: 1n, totalNs: 90n, errors: 1n })] },
    { key: key(2, READ), values: [value({ calls: 5n, totalNs: 20n, errors: 5n })] },
    { key: key(1, READ), values: [value({ calls: 5n, totalNs: 20n, errors: 5n })] },
  ];
  const pids = (order: ActivityOrder, topMax = 10) => {
    const reducer = reducerOf({ order }, { topMax });
    reducer.addBatch(batchOf(entries));
    return reducer.finish().top.map(({ pid }) => pid);
  };
  assertEquals(pids("calls"), [4, 1, 2, 3]);
  assertEquals(pids("time"), [3, 1, 2, 4]);
  assertEquals(pids("errors"), [1, 2, 3, 4]);
  assertEquals(pids("calls", 2), [4, 1]);
});

Deno.test("ProcessReducer takes results for bytes where they are, one way or both", () => {
  const entries = [
    { key: key(1, READ), values: [value({ moved: 100n })] },
    { key: key(1, WRITE), values: [value({ moved: 20n })] },
    { key: key(1, MMAP), values: [value({ moved: 0x7f00_0000_0000n })] },
    { key: key(2, SENDFILE), values: [value({ moved: 3_000n })] },
    { key: key(3, READ), values: [value({ moved: 4_000n })] },
  ];
  const windowOf = (order: ActivityOrder) => {
    const reducer = reducerOf({ order });
    reducer.addBatch(batchOf(entries));
    return reducer.finish();
  };
  const { top, syscalls } = windowOf("bytes");
  assertEquals(top.map(({ pid, bytesIn, bytesOut }) => ({ pid, bytesIn, bytesOut })), [
    { pid: 2, bytesIn: 3_000, bytesOut: 3_000 },
    { pid: 3, bytesIn: 4_000, bytesOut: 0 },
    { pid: 1, bytesIn: 100, bytesOut: 20 },
  ]);
  assertEquals(syscalls.map(({ name }) => name), ["sendfile", "read", "write", "mmap"]);
  assertEquals(windowOf("in").top.map(({ pid }) => pid), [3, 2, 1]);
  assertEquals(windowOf("out").top.map(({ pid }) => pid), [2, 1, 3]);
});

Deno.test("ProcessReducer counts all and shows one kind of call when asked for it", () => {
  const reducer = reducerOf({ syscall: "close" });
  reducer.addBatch(batchOf([
    { key: key(1, READ), values: [value({ calls: 8n })] },
    { key: key(1, CLOSE), values: [value({ calls: 2n })] },
    { key: key(2, READ), values: [value({ calls: 1n })] },
  ]));
  const window = reducer.finish();
  assertEquals([window.counted.calls, window.matched.calls, window.processes], [11, 2, 2]);
  assertEquals(window.top.map(({ pid, calls }) => ({ pid, calls })), [{ pid: 1, calls: 2 }]);
  assertEquals(window.syscalls.map(({ name }) => name), ["close"]);
});

Deno.test("ProcessReducer chooses processes by the name, number and user that they have in the end", () => {
  const entries = [
    // It was a shell when it read.
    { key: key(1, READ), values: [value({ calls: 8n, notedNs: 1n, comm: "shell" })] },
    { key: key(1, CLOSE), values: [value({ calls: 2n, notedNs: 2n, comm: "nginx", uid: 33 })] },
    { key: key(2, READ), values: [value({ calls: 1n, comm: "shell" })] },
  ];
  const chosen = (arrangement: Partial<ActivityArrangement>) => {
    const reducer = reducerOf(arrangement);
    reducer.addBatch(batchOf(entries));
    const { top, syscalls, matched, counted } = reducer.finish();
    assertEquals(counted.calls, 11);
    return { pids: top.map(({ pid }) => pid), calls: matched.calls, kinds: syscalls.map(({ name }) => name) };
  };
  assertEquals(chosen({}), { pids: [1, 2], calls: 11, kinds: ["read", "close"] });
  assertEquals(chosen({ comm: "gin" }), { pids: [1], calls: 10, kinds: ["read", "close"] });
  assertEquals(chosen({ comm: "shell" }), { pids: [2], calls: 1, kinds: ["read"] });
  assertEquals(chosen({ pid: 2 }), { pids: [2], calls: 1, kinds: ["read"] });
  assertEquals(chosen({ uid: 33, syscall: "close" }), { pids: [1], calls: 2, kinds: ["close"] });
  assertEquals(chosen({ uid: 34 }), { pids: [], calls: 0, kinds: [] });
});

Deno.test("ProcessReducer groups all processes by user and container, and names the largest of each", () => {
  const entries = Array.from({ length: 9 }, (_, i) => ({
    key: key(i + 1, READ),
    values: [value({ calls: BigInt(i + 1), errors: 1n, uid: i < 7 ? 0 : 33, cgroupId: BigInt(i % 2) })],
  }));
  const groupsOf = (by: "user" | "container") => {
    const reducer = reducerOf({ by }, { topMax: 2 });
    reducer.addBatch(batchOf(entries));
    const { groups, top } = reducer.finish();
    assertEquals(top.length, 2);
    return groups.map(({ label, processes, calls, errors, top }) => ({
      label,
      processes,
      calls,
      errors,
      pids: top.map(({ pid }) => pid),
    }));
  };
  assertEquals(groupsOf("user"), [
    { label: "user 0", processes: 7, calls: 28, errors: 7, pids: [7, 6, 5, 4, 3] },
    { label: "user 33", processes: 2, calls: 17, errors: 2, pids: [9, 8] },
  ]);
  assertEquals(groupsOf("container"), [
    { label: "container 0", processes: 5, calls: 25, errors: 5, pids: [9, 7, 5, 3, 1] },
    { label: "container 1", processes: 4, calls: 20, errors: 4, pids: [8, 6, 4, 2] },
  ]);
});

Deno.test("ProcessReducer is arranged anew between windows, and lends each process to who observes", () => {
  const observed: [number, string, number][] = [];
  const reducer = reducerOf({}, { observe: ({ pid, comm, calls }) => void observed.push([pid, comm, calls]) });
  const add = () => reducer.addBatch(batchOf([{ key: key(1, READ), values: [value({ calls: 8n })] }]));
  add();
  assertEquals(reducer.finish().groups, []);
  reducer.arrange({ ...DEFAULT_ARRANGEMENT, by: "user" });
  add();
  const { groups, arrangement } = reducer.finish();
  assertEquals([groups.length, arrangement.by], [1, "user"]);
  assertEquals(observed, [[1, "one", 8], [1, "one", 8]]);
});

Deno.test("ProcessReducer balances counters against rows, and starts each window from nothing", () => {
  const reducer = new ProcessReducer(OPTIONS);
  reducer.addBatch(batchOf([{ key: key(1, READ), values: [value({ calls: 8n, errors: 2n, totalNs: 70n })] }]));
  reducer.addCounters({
    seen: { calls: 10, errors: 3, totalNs: 100n },
    overflow: { calls: 2, errors: 1, totalNs: 30n },
    unentered: 4,
    passedOver: 5,
  });
  const window = reducer.finish();
  assertEquals(processBalance(window), noCalls());
  assertEquals([window.unentered, window.passedOver], [4, 5]);
  assertEquals(processBalance({ ...window, overflow: noCalls() }), { calls: 2, errors: 1, totalNs: 30n });
  const next = reducer.finish();
  assertEquals([next.seen, next.counted, next.entries, next.top], [noCalls(), noCalls(), 0, []]);
});

Deno.test("activityName() takes the table of the call", () => {
  assertEquals(activityName("x86_64", "native", 39), "getpid");
  assertEquals(activityName("x86_64", "compat", 20), "getpid");
  assertEquals(activityName("x86_64", "x32", 39), "getpid");
  assertEquals(activityName("aarch64", "native", 172), "getpid");
  assertEquals(activityName("aarch64", "compat", 20), "syscall 20");
  assertEquals(activityName("x86_64", "native", 65_535), "no such syscall");
});
