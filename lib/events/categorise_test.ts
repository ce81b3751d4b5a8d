import { assertEquals } from "../../tests/assert.ts";
import { batchOf, eventRecord } from "../../tests/support/records.ts";
import { EVENT_TYPES, type EventType, SEVERITIES } from "./event.ts";
import { categorise, categoriseEvent, priorityOf } from "./categorise.ts";
import { CATEGORIES } from "./types/category.ts";

Deno.test("categorise() knows what each type is about, and calls any other number unknown", () => {
  const categories = {
    process_exec: "process",
    process_exit: "process",
    file_open: "filesystem",
    network_connect: "network",
    tcp_state: "network",
    security_violation: "syscall",
    resource_limit: "syscall",
  } as const;
  for (const [event, category] of Object.entries(categories)) {
    assertEquals(categorise(EVENT_TYPES.indexOf(event as EventType)), category, event);
  }
  assertEquals([EVENT_TYPES.length, 0xffff].map(categorise), ["unknown", "unknown"]);
});

Deno.test("priorityOf() puts critical and error first and debug last", () => {
  assertEquals(SEVERITIES.map((_, severity) => priorityOf(severity)), [1, 1, 2, 2, 3]);
});

Deno.test("categoriseEvent() sets the columns of its event alone", () => {
  const batch = batchOf([
    eventRecord("file_open", { severity: "critical" }),
    eventRecord("tcp_state", { severity: "debug" }),
  ]);
  categoriseEvent(batch, 1);
  assertEquals([...batch.category.subarray(0, 2)], [0, CATEGORIES.indexOf("network")]);
  assertEquals([...batch.priority.subarray(0, 2)], [0, 3]);
});
