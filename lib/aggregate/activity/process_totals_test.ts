import { assertEquals } from "../../../tests/assert.ts";
import type { ProcessTally } from "./process_reducer.ts";
import { ProcessTotals } from "./process_totals.ts";

function tally(overrides: Partial<ProcessTally> = {}): ProcessTally {
  return {
    pid: 1,
    startedNs: 10n,
    comm: "one",
    calls: 5,
    errors: 1,
    totalNs: 7n,
    bytesIn: 2,
    bytesOut: 3,
    ...overrides,
  };
}

Deno.test("ProcessTotals adds windows up, under the name that a process has now", () => {
  const totals = new ProcessTotals();
  totals.add(tally());
  totals.add(tally({ comm: "two", calls: 4 }));
  assertEquals(totals.top(10), [
    { pid: 1, startedNs: 10n, comm: "two", calls: 9n, errors: 2n, totalNs: 14n, bytesIn: 4n, bytesOut: 6n },
  ]);
});

Deno.test("ProcessTotals ranks by calls, and of processes of one number keeps to the latest", () => {
  const totals = new ProcessTotals();
  totals.add(tally({ pid: 1, startedNs: 10n, calls: 100 }));
  totals.add(tally({ pid: 1, startedNs: 20n, calls: 1 }));
  totals.add(tally({ pid: 2, calls: 50 }));
  totals.add(tally({ pid: 3, calls: 60 }));
  const pids = (processesMax: number) => totals.top(processesMax).map(({ pid, calls }) => [pid, calls]);
  assertEquals(pids(10), [[3, 60n], [2, 50n], [1, 1n]]);
  assertEquals(pids(1), [[3, 60n]]);
});

Deno.test("ProcessTotals forgets who was quiet for longest, and never holds more than it may", () => {
  const totals = new ProcessTotals(2);
  totals.add(tally({ pid: 1 }));
  totals.add(tally({ pid: 2 }));
  totals.add(tally({ pid: 1 }));
  totals.add(tally({ pid: 3 }));
  assertEquals(totals.top(10).map(({ pid, calls }) => [pid, calls]), [[1, 10n], [3, 5n]]);
});
