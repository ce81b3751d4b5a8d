import { assertEquals } from "../../tests/assert.ts";
import { cpuSeconds } from "./process_usage.ts";

Deno.test("cpuSeconds() finds its fields behind a command that holds spaces and parentheses", () => {
  const stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 1000 1 1";
  assertEquals(cpuSeconds(stat), 3);
});
