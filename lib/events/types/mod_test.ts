import { assert, assertEquals } from "../../../tests/assert.ts";
import { EVENT_LIMIT, EVENT_TYPE } from "../../wire/layouts.gen.ts";
import { descriptionOf, DESCRIPTIONS_BY_NUMBER, EVENT_DESCRIPTIONS } from "./mod.ts";

Deno.test("EVENT_DESCRIPTIONS is the enum event_type of bpf/event.h, in its order", () => {
  const { EVENT_TYPES: count, ...numbers } = EVENT_TYPE;
  assertEquals(
    DESCRIPTIONS_BY_NUMBER.map(({ name, type }) => [`EVENT_${name.toUpperCase()}`, type]),
    Object.entries(numbers),
  );
  assertEquals(DESCRIPTIONS_BY_NUMBER.map(({ type }) => type), Array.from({ length: count }, (_, type) => type));
  assert(count <= EVENT_LIMIT.EVENT_TYPES_MAX);
});

Deno.test("descriptionOf() finds each type by its name", () => {
  assertEquals(EVENT_DESCRIPTIONS.map(({ name }) => descriptionOf(name)), [...DESCRIPTIONS_BY_NUMBER]);
});
