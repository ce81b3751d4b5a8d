import { assertEquals } from "../../../tests/assert.ts";
import { decodeState, encodeState } from "./state_text.ts";

Deno.test("decodeState() reads what encodeState() wrote", () => {
  const state = {
    map: new Map<string, unknown>([["a", { big: 2n ** 80n }], ["b", new Map([[1, -Infinity]])]]),
    list: [null, true, 1.5, "text", Infinity, -7n],
  };
  assertEquals(decodeState(encodeState(state)), state);
});
