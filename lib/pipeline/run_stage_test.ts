import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { batchOf, eventRecord } from "../../tests/support/records.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { type Failure, runStage, StageBroken } from "./run_stage.ts";
import type { Stage } from "./stage.ts";

/** Fails on some pids, drops others. */
class PickyStage implements Stage {
  readonly name = "picky";
  readonly seen: number[] = [];

  constructor(readonly fails: number[], readonly drops: number[] = []) {}

  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const pid = batch.pid(batch.next);
      this.seen.push(pid);
      if (this.fails.includes(pid)) throw new Error(`not ${pid}`);
      if (this.drops.includes(pid)) batch.drop(batch.next);
    }
  }
}

function batchOfPids(...pids: number[]): EventBatch {
  const batch = batchOf(pids.map((pid) => eventRecord("file_open", { pid })));
  pids.forEach((_, i) => batch.source[i] = i);
  return batch;
}

function pidsOf(batch: EventBatch): number[] {
  return Array.from({ length: batch.count }, (_, i) => batch.pid(i));
}

function run(stage: Stage, batch: EventBatch): Failure[] {
  const failures: Failure[] = [];
  runStage(stage, batch, (failure) => failures.push({ ...failure, record: failure.record.slice() }));
  return failures;
}

Deno.test("runStage() takes out what fails, first, in the middle or last, and shows each event to the stage once", () => {
  const cases = [[1], [3], [5], [1, 2], [4, 5], [1, 3, 5], [1, 2, 3, 4, 5], []];
  for (const fails of cases) {
    const stage = new PickyStage(fails);
    const batch = batchOfPids(1, 2, 3, 4, 5);
    const failures = run(stage, batch);
    assertEquals(stage.seen, [1, 2, 3, 4, 5]);
    assertEquals(pidsOf(batch), [1, 2, 3, 4, 5].filter((pid) => !fails.includes(pid)));
    assertEquals(
      failures,
      fails.map((pid) => ({
        stage: "picky",
        error: `not ${pid}`,
        source: pid - 1,
        record: eventRecord("file_open", { pid }),
      })),
    );
    assertEquals(batch.next, 0);
  }
});

Deno.test("runStage() tells by their first number which events failed after others were left out", () => {
  const batch = batchOfPids(1, 2, 3, 4, 5);
  run(new PickyStage([2], [1]), batch);
  assertEquals(pidsOf(batch), [3, 4, 5]);
  const failures = run(new PickyStage([4]), batch);
  assertEquals(failures.map(({ source }) => source), [3]);
  assertEquals([...batch.source.subarray(0, batch.count)], [2, 4]);
});

Deno.test("runStage() makes text of whatever is thrown", () => {
  const stage: Stage = {
    name: "odd",
    run(batch) {
      if (batch.next < batch.count) throw "just text";
    },
  };
  assertEquals(run(stage, batchOfPids(1, 2)).map(({ error }) => error), ["just text", "just text"]);
});

Deno.test("runStage() passes on what ends the worker, and what is about no event", () => {
  const broken: Stage = {
    name: "broken",
    run() {
      throw new StageBroken("no more");
    },
  };
  assertThrows(() => run(broken, batchOfPids(1)), StageBroken, "no more");
  const late: Stage = {
    name: "late",
    run(batch) {
      batch.next = batch.count;
      throw new Error("after the last");
    },
  };
  assertThrows(() => run(late, batchOfPids(1)), Error, "after the last");
});
