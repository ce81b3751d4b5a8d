import { assertEquals } from "../../tests/assert.ts";
import { SaidOnce } from "./said_once.ts";

Deno.test("SaidOnce repeats nothing on a topic until it was over, and keeps topics apart", () => {
  const said: string[] = [];
  const once = new SaidOnce((text) => said.push(text));
  once.say("a", "broken");
  once.say("b", "broken");
  once.say("a", "broken");
  once.say("a", "worse");
  once.over("a");
  once.say("a", "worse");
  assertEquals(said, ["broken", "broken", "worse", "worse"]);
});
