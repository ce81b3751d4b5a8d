import { assertEquals } from "../../../../tests/assert.ts";
import type { Correlator } from "../../correlation/correlator.ts";
import type { GroupRecorder } from "../group_recorder.ts";
import type { NatsLink } from "./connection.ts";
import { PartitionRun } from "./partition_run.ts";

Deno.test("PartitionRun begins when what went on with its partition before is over", async () => {
  const calls: string[] = [];
  const correlator = {
    open: () => void calls.push("open"),
    close: () => void calls.push("close"),
    checkpoint: () => Promise.resolve({ position: 0, state: new Uint8Array(0) }),
    advance: () => {},
  } as unknown as Correlator;
  /** Answers for the state that a run begins with: it is lost while it waits for the first. */
  const answers = [Promise.withResolvers<null>(), Promise.withResolvers<null>()];
  let asked = 0;
  const consumed = Promise.withResolvers<void>();
  const link = {
    manager: { streams: { getMessage: () => answers[asked++].promise } },
    consumers: {
      add: () => {
        consumed.resolve();
        return Promise.reject(new Error("no consumer"));
      },
    },
  } as unknown as NatsLink;
  const parts = { link, correlator, recorder: {} as GroupRecorder, notice: () => {} };
  const first = new PartitionRun(3, { ...parts, before: Promise.resolve() });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(asked, 1);
  const ending = first.abandon();
  const second = new PartitionRun(3, { ...parts, before: first.ended });
  answers[1].resolve(null);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals([asked, calls], [1, []]);
  answers[0].resolve(null);
  await ending;
  await consumed.promise;
  assertEquals(calls, ["open", "close", "open"]);
  await second.abandon();
  assertEquals(calls, ["open", "close", "open", "close"]);
});
