import { assertEquals } from "../../tests/assert.ts";
import { nearest } from "./suggest.ts";

const NAMES = ["window", "top", "json", "duration", "direction"];

Deno.test("nearest() finds what was mistyped by a letter or a swap", () => {
  assertEquals(["windw", "windwo", "widnow", "windows", "jsn", "tpo", "druation"].map((word) => nearest(word, NAMES)), [
    "window",
    "window",
    "window",
    "window",
    "json",
    "top",
    "duration",
  ]);
});

Deno.test("nearest() prefers the closest name, and none over a far one", () => {
  assertEquals(nearest("direction", ["duration", "direction"]), "direction");
  assertEquals(["", "x", "verbose", "xyz"].map((word) => nearest(word, NAMES)), [null, null, null, null]);
});
