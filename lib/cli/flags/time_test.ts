import { assertEquals } from "../../../tests/assert.ts";
import { parseRetention, parseSpan, parseTime, resolveTime, RETENTION_TEXT } from "./time.ts";

const SECOND = 1_000_000_000n;
const HOUR = 3_600n * SECOND;

Deno.test("parseSpan() takes seconds to weeks", () => {
  assertEquals(
    ["1s", "5m", "1h", "2d", "1w"].map(parseSpan),
    [1n, 300n, 3_600n, 172_800n, 604_800n].map((s) => s * SECOND),
  );
  for (const text of ["", "1", "h", "0s", "-1h", "1.5h", "1 h", "1H", "1y", "1h30m", "99999999999s", "9999999999d"]) {
    assertEquals(parseSpan(text), null, text);
  }
});

Deno.test("parseTime() takes RFC 3339, days, now and so long before it", () => {
  const now = 1_767_323_045n * SECOND;
  const at = (text: string) => {
    const spec = parseTime(text);
    return spec && resolveTime(spec, now);
  };
  assertEquals(at("now"), now);
  assertEquals(at("-1h"), now - HOUR);
  assertEquals(at("2026-01-02T03:04:05Z"), now);
  assertEquals(at("2026-01-02T03:04:05.000000006Z"), now + 6n);
  assertEquals(at("2026-01-02T03:04:05.25+00:00"), now + SECOND / 4n);
  assertEquals(at("2026-01-02T05:04:05+02:00"), now);
  assertEquals(at("2026-01-02T00:04:05-03:00"), now);
  assertEquals(at("2026-01-02"), now - (3n * 3_600n + 245n) * SECOND);
  assertEquals(at("2024-02-29"), 1_709_164_800n * SECOND);
});

Deno.test("parseTime() refuses what is no moment, or could be several", () => {
  const texts = ["", "yesterday", "1h", "+1h", "-", "-1", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-1-2"];
  texts.push("2026-02-30", "2025-02-29", "2026-13-01", "2026-01-02T24:00:01Z", "2026-01-02T03:60:00Z", "1969-12-31");
  texts.push("9999-01-01", "2026-01-02Z", "2026-01-02.5", "2026-01-02T03:04:05.1234567890Z", "2026-02-31T00:00:00Z");
  for (const text of texts) assertEquals(parseTime(text), null, text);
});

Deno.test("parseRetention() fills in what is not named, and never keeps a coarser level for less", () => {
  const days = (...counts: bigint[]) => counts.map((count) => count * 24n * HOUR);
  assertEquals(parseRetention(RETENTION_TEXT), days(1n, 7n, 90n, 1825n));
  assertEquals(parseRetention("1m=30d"), days(1n, 30n, 90n, 1825n));
  assertEquals(parseRetention("1s=100d"), days(100n, 100n, 100n, 1825n));
  assertEquals(parseRetention("1d=2000d,1s=1w"), days(7n, 7n, 90n, 2000n));
  for (const text of ["", "1s", "1s=", "2s=1d", "1s=1d,1s=2d", "1s=1d,", "1s=1d=2d", "1s=2d,1m=1d", "1d=1h", "1s=x"]) {
    assertEquals(parseRetention(text), null, text);
  }
});
