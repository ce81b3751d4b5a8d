import { assertEquals } from "../../../tests/assert.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { GroupRecorder } from "./group_recorder.ts";

/** Only what a recorder looks at. */
function group(id: string): CorrelatedGroup {
  return { id } as CorrelatedGroup;
}

Deno.test("GroupRecorder sends a trace of each group once, in order, whoever gives it how often", async () => {
  const known = new Set<string>();
  const sent: string[] = [];
  const ledger = {
    record: (_partition: number, groups: CorrelatedGroup[]) => {
      const added = groups.filter(({ id }) => !known.has(id)).map(({ id }) => id);
      for (const id of added) known.add(id);
      return Promise.resolve(added);
    },
  };
  const recorder = new GroupRecorder(ledger, { send: ({ id }) => void sent.push(id) }, () => {});
  recorder.add(0, [group("a"), group("b")]);
  recorder.add(1, [group("b"), group("c")]);
  await recorder.settled();
  assertEquals(sent, ["a", "b", "c"]);
  assertEquals(recorder.counts, { recorded: 3, repeated: 1 });
});

Deno.test("GroupRecorder asks a ledger again that fails, until it is stopped", async () => {
  let failures = 1;
  const notices: string[] = [];
  const ledger = {
    record: (_partition: number, groups: CorrelatedGroup[]) =>
      failures-- > 0 ? Promise.reject(new Error("disk full")) : Promise.resolve(groups.map(({ id }) => id)),
  };
  const recorder = new GroupRecorder(ledger, null, (text) => notices.push(text));
  recorder.add(0, [group("a")]);
  await recorder.settled();
  assertEquals([recorder.counts.recorded, notices], [1, ["groups are not recorded yet: disk full"]]);

  failures = Infinity;
  recorder.add(0, [group("b")]);
  recorder.stop();
  await recorder.settled();
  assertEquals(recorder.counts.recorded, 1);
});
