import { assert, assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { processRow, processWindow } from "../../tests/support/activity.ts";
import { addActivityWindow, emptyActivityTotals } from "../aggregate/activity/activity_totals.ts";
import { ACTIVITY_GROUPINGS, ACTIVITY_ORDERS } from "../aggregate/activity/activity_options.ts";
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import { DEFAULT_ARRANGEMENT } from "../aggregate/activity/process_reducer.ts";
import { displayWidth } from "../runtime/text.ts";
import { renderTop, renderTopPiped, renderTopSummary, type TopState } from "./top_view.ts";

const GROUPED = processWindow({
  arrangement: { ...DEFAULT_ARRANGEMENT, by: "container" },
  groups: [
    { ...processRow({ calls: 90 }), label: "0123456789abcdef".repeat(4), processes: 6, top: [processRow()] },
    { ...processRow({ calls: 30 }), label: "", processes: 1, top: [processRow({ pid: 9, comm: "sh", user: "root" })] },
  ],
});

function totalsOf(...windows: ProcessWindow[]) {
  const totals = emptyActivityTotals();
  for (const window of windows) addActivityWindow(totals, window);
  return totals;
}

function state(overrides: Partial<TopState> = {}): TopState {
  const window = overrides.window === undefined ? processWindow() : overrides.window;
  return {
    host: "box",
    uptimeSeconds: 62,
    window,
    totals: window === null ? emptyActivityTotals() : totalsOf(window),
    arrangement: window?.arrangement ?? DEFAULT_ARRANGEMENT,
    wide: false,
    typed: null,
    paused: false,
    alerts: [],
    ...overrides,
  };
}

Deno.test("renderTop() shows sums, accounting, processes, the map and the keys", () => {
  assertEquals(renderTop(state(), 100, 24, false), [
    "ebpfmon top box · 1m 02s · processes by calls",
    "120 calls/s · 12 failed/s · 1.2 ms within calls a second · 2 processes",
    "✓ seen 120 = counted 100 + overflow 20",
    " PID  USER      CALLS/s▼  ERR/s  TIME/s    IN/s    OUT/s  MOST   COMMAND",
    "1234  www-data        60      6  600 µs  4.0 kB  70.0 kB  write  nginx",
    "   7  1000            40      6  600 µs  4.0 kB  70.0 kB  write  a\\x1b[2Jb",
    "map 0.0 % of 8.2 k · map was full: it grows",
    "q quit · p pause · c t e b i o sort · g group · / filter · w wide",
  ]);
});

Deno.test("renderTop() sorts what it has at once, by what was asked for since", () => {
  const rows = [processRow({ pid: 1, errors: 0 }), processRow({ pid: 2, calls: 1, errors: 1 })];
  const window = processWindow({ top: rows });
  const arrangement = { ...DEFAULT_ARRANGEMENT, order: "errors" as const };
  const lines = renderTop(state({ window, arrangement }), 100, 24, false);
  assertStringIncludes(lines[3], "ERR/s▼");
  assertEquals(lines.slice(4, 6).map((line) => line.trim()[0]), ["2", "1"]);
});

Deno.test("renderTop() shows containers with their processes below them", () => {
  const lines = renderTop(state({ window: GROUPED }), 100, 24, false);
  assertEquals(lines.slice(3, 8), [
    " PID  USER      PROCS  CALLS/s▼  ERR/s  TIME/s    IN/s    OUT/s  MOST   CONTAINER / COMMAND",
    "                    6        90      6  600 µs  4.0 kB  70.0 kB         0123456789ab",
    "1234  www-data               60      6  600 µs  4.0 kB  70.0 kB  write  ├ nginx",
    "                    1        30      6  600 µs  4.0 kB  70.0 kB         (none)",
    "   9  root                   60      6  600 µs  4.0 kB  70.0 kB  write  └ sh",
  ]);
  // Groups of a window from before g was pressed are none of the new kind.
  const arrangement = { ...DEFAULT_ARRANGEMENT, by: "user" as const };
  assertEquals(renderTop(state({ window: GROUPED, arrangement }), 100, 24, false).length, 6);
});

Deno.test("renderTop() by syscall marks calls through another table", () => {
  const window = processWindow({ arrangement: { ...DEFAULT_ARRANGEMENT, by: "syscall" } });
  const lines = renderTop(state({ window }), 120, 24, false);
  assertEquals(lines.slice(3, 6), [
    "PROCS  CALLS/s▼  ERR/s  TIME/s  IN/s    OUT/s     P50     P99     MAX  SYSCALL",
    "    2        50      0  500 µs   0 B  70.0 kB  180 ns  248 ns  250 ns  write",
    "    1        10      0  500 µs   0 B  70.0 kB  180 ns  248 ns  250 ns  openat (compat)",
  ]);
});

Deno.test("renderTop() wide shows durations, containers and executables", () => {
  const lines = renderTop(state({ wide: true }), 160, 24, false);
  assertStringIncludes(lines[3], "P50");
  assertStringIncludes(lines[4], "1.9 ms");
  assertStringIncludes(lines[4], "0123456789ab  /usr/sbin/nginx");
});

Deno.test("renderTop() never exceeds the terminal, at any size, with hostile and wide text", () => {
  const hostile = processRow({
    comm: "漢字\u202e\x1b[31m",
    user: "ev\nil",
    container: "\x07".repeat(64),
    exe: "🙂".repeat(200),
  });
  const window = processWindow({ top: Array(60).fill(hostile), groups: GROUPED.groups });
  for (const by of ACTIVITY_GROUPINGS) {
    for (const order of ACTIVITY_ORDERS) {
      for (const wide of [false, true]) {
        const arrangement = { ...DEFAULT_ARRANGEMENT, by, order, comm: "\x1b" };
        const shown = state({
          window: { ...window, arrangement },
          arrangement,
          wide,
          host: "h\n",
          alerts: ["漢\n", "b"],
        });
        for (const columns of [1, 20, 40, 59, 80, 160, 400]) {
          for (const rows of [1, 3, 5, 8, 24, 70]) {
            const lines = renderTop(shown, columns, rows, false);
            assert(lines.length <= rows, `${lines.length} lines in ${rows}`);
            for (const line of lines) {
              assert(displayWidth(line) <= columns, `${displayWidth(line)} > ${columns}: ${line}`);
              // deno-lint-ignore no-control-regex
              assert(!/[\x00-\x1f\u202e]/.test(line), line);
            }
          }
        }
      }
    }
  }
});

Deno.test("renderTop() keeps what it is sorted by, and the command, where there is little room", () => {
  const arrangement = { ...DEFAULT_ARRANGEMENT, order: "in" as const };
  const [, , , titles] = renderTop(state({ arrangement }), 40, 24, false);
  assertEquals(titles, " PID  CALLS/s   IN/s▼  COMMAND");
});

Deno.test("renderTop() waits, is paused, asks for a filter, and is loud about calls that are not accounted for", () => {
  assertEquals(renderTop(state({ window: null }), 80, 24, false)[1], "waiting for the first window");
  assertStringIncludes(renderTop(state({ paused: true }), 80, 24, false).at(-1)!, "PAUSED");
  assertStringIncludes(renderTop(state({ typed: "ng" }), 80, 24, false).at(-1)!, "command contains: ng_");
  const lost = processWindow({ overflow: { calls: 0, errors: 0, totalNs: 0n } });
  const [, , line] = renderTop(state({ window: lost }), 100, 24, true);
  assertEquals(
    line,
    "\x1b[1;37;41mMISMATCH seen differs from counted + overflow by 20 calls, 2 errors, 200000 ns\x1b[0m",
  );
});

Deno.test("renderTopPiped() is a table with exact sums, what was chosen, and what sampling does", () => {
  const arrangement = { ...DEFAULT_ARRANGEMENT, syscall: "write", uid: 33 };
  const chosen = { arrangement, sampling: 16, passedOver: 1_500, missedRuns: 3n };
  const window = processWindow({ ...chosen, top: [processRow()] });
  assertEquals(renderTopPiped(window, { wide: false }).split("\n"), [
    "=== Process Activity ===",
    "Window: 1.00 s",
    "Calls: 120 by 2 processes, 12 failed, 0.001 s within",
    "Chosen: syscall write, uid 33: 100 calls, 10 failed",
    "one of 16 calls counted: estimates; passed over 1500",
    "WARNING: activity map full: 20 calls in overflow",
    "WARNING: the kernel left out 3 runs so far",
    "",
    "=== Top Processes by Calls ===",
    " PID  USER      CALLS/s▼  ERR/s  TIME/s    IN/s    OUT/s  MOST   COMMAND",
    "1234  www-data        60      6  600 µs  4.0 kB  70.0 kB  write  nginx",
    "",
    "",
  ]);
});

Deno.test("renderTopSummary() has the totals and their equation", () => {
  assertEquals(renderTopSummary(totalsOf(processWindow())).split("\n"), [
    "=== Summary ===",
    "Windows: 1",
    "Seen: 120 calls, 12 failed, 0.001 s within",
    "Counted: 100 calls, 10 failed, 0.001 s within",
    "Overflow: 20 calls, 2 failed, 0.000 s within",
    "Passed over by sampling: 4 calls",
    "Accounting: seen = counted + overflow",
    "",
  ]);
});
