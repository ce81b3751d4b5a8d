import { assertEquals } from "../../../../tests/assert.ts";
import { FakeTime } from "../../../../tests/support/fake_time.ts";
import { type PartitionParts, PartitionRun } from "./partition_run.ts";
import type { PartitionState } from "./states.ts";

/** Reads nothing until it is stopped. */
const reader: ReturnType<PartitionParts["openReader"]> = {
  run: (signal) =>
    new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    }),
  pending: 0,
  caughtUp: false,
};

Deno.test("PartitionRun begins when what went on with its partition before is over", async () => {
  using time = new FakeTime();
  const calls: string[] = [];
  /** Answers for the state that a run begins with: it is lost while it waits for the first. */
  const answers = [Promise.withResolvers<PartitionState>(), Promise.withResolvers<PartitionState>()];
  let asked = 0;
  const parts: Omit<PartitionParts, "before"> = {
    openStates: () => ({ load: () => answers[asked++].promise, save: () => Promise.resolve() }),
    openReader: () => reader,
    correlator: {
      open: () => Promise.resolve(void calls.push("open")),
      close: () => void calls.push("close"),
      add: () => Promise.resolve(),
      checkpoint: () => Promise.resolve({ position: 0, state: new Uint8Array(0) }),
      advance: () => {},
    },
    recorder: { settled: () => Promise.resolve(), stopped: false },
    notice: () => {},
  };
  const nothing = { position: 0, state: null };
  const first = new PartitionRun(3, { ...parts, before: Promise.resolve() });
  await time.pass(0);
  assertEquals(asked, 1);
  const ending = first.abandon();
  const second = new PartitionRun(3, { ...parts, before: first.ended });
  answers[1].resolve(nothing);
  await time.pass(60_000);
  assertEquals([asked, calls], [1, []]);
  answers[0].resolve(nothing);
  await time.during(ending);
  await time.until(() => calls.length === 3);
  assertEquals(calls, ["open", "close", "open"]);
  await time.during(second.abandon());
  assertEquals(calls, ["open", "close", "open", "close"]);
});
