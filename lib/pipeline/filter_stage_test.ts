import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { batchOf, eventRecord } from "../../tests/support/records.ts";
import { parseEventFilter } from "../filter/language.ts";
import { CATEGORIES } from "../events/types/category.ts";
import { DEFAULT_DROP_RULES, FilterStage } from "./filter_stage.ts";

function kept(batch: ReturnType<typeof batchOf>): number[] {
  return Array.from({ length: batch.count }, (_, i) => i).filter((i) => batch.lengths[i] > 0);
}

Deno.test("FilterStage drops debug of pids below 100 by default, and counts it", () => {
  const stage = new FilterStage({ dropRules: DEFAULT_DROP_RULES, filter: null });
  const batch = batchOf([
    eventRecord("file_open", { severity: "debug", pid: 99 }),
    eventRecord("file_open", { severity: "debug", pid: 100 }),
    eventRecord("file_open", { severity: "info", pid: 99 }),
    eventRecord("file_open", { severity: "debug", pid: 1 }),
  ]);
  stage.run(batch);
  assertEquals([kept(batch), batch.next], [[1, 2], 4]);
  assertEquals(stage.take(), [{ rule: "low_priority_system", count: 2 }]);
  assertEquals(stage.take(), [{ rule: "low_priority_system", count: 0 }]);
});

Deno.test("FilterStage asks the rules in order, then the user's filter, and the first to drop counts", () => {
  const stage = new FilterStage({
    dropRules: [{ name: "a", filter: "uid 0" }, { name: "b", filter: "pid < 10" }],
    filter: parseEventFilter("event file_open"),
  });
  const batch = batchOf([
    eventRecord("file_open", { uid: 0, pid: 1 }),
    eventRecord("process_exit", { uid: 1, pid: 1 }),
    eventRecord("process_exit", { uid: 1, pid: 10 }),
    eventRecord("file_open", { uid: 1, pid: 10 }),
  ]);
  stage.run(batch);
  assertEquals(kept(batch), [3]);
  assertEquals(stage.take(), [{ rule: "a", count: 1 }, { rule: "b", count: 1 }, { rule: "filter", count: 1 }]);
});

Deno.test("FilterStage categorises what goes on", () => {
  const batch = batchOf([eventRecord("tcp_state", { severity: "error" })]);
  new FilterStage({ dropRules: [], filter: null }).run(batch);
  assertEquals([CATEGORIES[batch.category[0]], batch.priority[0]], ["network", 1]);
});

Deno.test("FilterStage throws on a record that contradicts itself, stays at it, and goes on behind it", () => {
  const stage = new FilterStage({ dropRules: [], filter: parseEventFilter("pid 4242") });
  const batch = batchOf([
    eventRecord("file_open"),
    eventRecord("process_exit").slice(0, -1),
    eventRecord("file_open", { pid: 1 }),
    eventRecord("file_open"),
  ]);
  batch.drop(0);
  assertThrows(() => stage.run(batch), TypeError, "Cannot read an event: header says 8 bytes of payload, there are 7");
  assertEquals([batch.next, stage.take()], [1, [{ rule: "filter", count: 0 }]]);
  batch.drop(batch.next++);
  stage.run(batch);
  assertEquals([kept(batch), stage.take()], [[3], [{ rule: "filter", count: 1 }]]);
});

Deno.test("FilterStage refuses a rule whose filter is none, and names it", () => {
  assertThrows(
    () => new FilterStage({ dropRules: [{ name: "mine", filter: "pid" }], filter: null }),
    SyntaxError,
    'drop rule "mine": expected a pid after "pid" at character 1',
  );
});
