import { assertEquals } from "../../tests/assert.ts";
import {
  displayWidth,
  escapeControls,
  fit,
  humanBitRate,
  humanBytes,
  humanCount,
  humanDuration,
  humanSeconds,
  truncate,
} from "./text.ts";

Deno.test("escapeControls() leaves no character that a terminal obeys", () => {
  assertEquals(escapeControls("a\x1b[31m\x00\n\x7f\x9b"), "a\\x1b[31m\\x00\\x0a\\x7f\\x9b");
  assertEquals(escapeControls("\u202eevil\u2066\u2028\u061c"), "\\u202eevil\\u2066\\u2028\\u061c");
  assertEquals(escapeControls("naïve 漢字 🙂"), "naïve 漢字 🙂");
});

Deno.test("displayWidth() counts columns, not code units", () => {
  assertEquals(["", "abc", "é", "e\u0301", "漢字", "🙂", "→…·"].map(displayWidth), [0, 3, 1, 1, 4, 2, 3]);
});

Deno.test("truncate() never exceeds the width, nor splits a wide character", () => {
  assertEquals(truncate("abcdef", 6), "abcdef");
  assertEquals(truncate("abcdef", 5), "abcd…");
  assertEquals(truncate("漢字漢", 4), "漢…");
  assertEquals(truncate("🙂🙂", 3), "🙂…");
  assertEquals(truncate("abc", 1), "…");
  assertEquals(truncate("abc", 0), "");
});

Deno.test("fit() gives exactly the width asked for", () => {
  assertEquals(fit("ab", 4), "ab  ");
  assertEquals(fit("ab", 4, "right"), "  ab");
  assertEquals(fit("漢字漢", 4), "漢… ");
  assertEquals(fit("abc", 0), "");
});

Deno.test("humanCount() and its kin round without ever showing 1000.0", () => {
  assertEquals([0, 999, 1000, 1234, 999_949, 999_950, 2_500_000_000].map(humanCount), [
    "0",
    "999",
    "1.0 k",
    "1.2 k",
    "999.9 k",
    "1.0 M",
    "2.5 G",
  ]);
  assertEquals(humanCount(999.6), "1.0 k");
  assertEquals(humanCount(2n ** 70n), "1.2 Z");
  assertEquals([0, 999, 3_400_000].map(humanBytes), ["0 B", "999 B", "3.4 MB"]);
  assertEquals([0, 12_500_000].map(humanBitRate), ["0 bit/s", "12.5 Mbit/s"]);
});

Deno.test("humanSeconds() picks µs, ms or s by what would be shown", () => {
  assertEquals([0, 0.000012, 0.0009996, 0.0034, 0.9996, 1.25].map(humanSeconds), [
    "0 µs",
    "12 µs",
    "1.0 ms",
    "3.4 ms",
    "1.0 s",
    "1.3 s",
  ]);
});

Deno.test("humanDuration() shows at most three units", () => {
  assertEquals([0, 7.9, 60, 127, 3_600, 10_927, 97_327].map(humanDuration), [
    "0s",
    "7s",
    "1m 00s",
    "2m 07s",
    "1h 00m 00s",
    "3h 02m 07s",
    "1d 03h 02m",
  ]);
});
