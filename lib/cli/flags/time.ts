/** Times and spans as `history` and `--retention` take them. */
import { LEVEL_NAMES, type LevelName } from "../../history/levels.ts";

/** A moment, or a span of time before now. */
export type TimeSpec = { unixNs: bigint } | { beforeNs: bigint };

const NS_PER_S = 1_000_000_000n;
const UNIT_SECONDS: Record<string, bigint> = { s: 1n, m: 60n, h: 3_600n, d: 86_400n, w: 604_800n };

/** The last second that 64 bits of nanoseconds since 1970 can hold, in 2262. */
const UNIX_SECONDS_MAX = 9_223_372_036n;

/** How long the windows of each level are kept by default. */
const RETENTION_DEFAULT: Record<LevelName, string> = { "1s": "1d", "1m": "7d", "1h": "90d", "1d": "1825d" };

export const RETENTION_TEXT = LEVEL_NAMES.map((name) => `${name}=${RETENTION_DEFAULT[name]}`).join(",");

/** Parses a span like `90s`, `5m`, `1h`, `2d` or `1w` to nanoseconds; null for a text that is none. */
export function parseSpan(text: string): bigint | null {
  const [, count, unit] = /^([1-9]\d{0,9})([smhdw])$/.exec(text) ?? [];
  if (count === undefined) return null;
  const seconds = BigInt(count) * UNIT_SECONDS[unit];
  return seconds > UNIX_SECONDS_MAX ? null : seconds * NS_PER_S;
}

/**
 * Parses `now`, `-1h`, `2026-01-02` or `2026-01-02T03:04:05Z`; null for a text that is none. A time without its zone is
 * refused, because it is ambiguous.
 */
export function parseTime(text: string): TimeSpec | null {
  if (text === "now") return { beforeNs: 0n };
  if (text.startsWith("-")) {
    const beforeNs = parseSpan(text.slice(1));
    return beforeNs === null ? null : { beforeNs };
  }
  const [, seconds, fraction = "", zone] =
    /^(\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  if (seconds === undefined || seconds.includes("T") !== (zone !== undefined)) return null;
  if (fraction !== "" && zone === undefined) return null;
  // Date takes the 31st of February for a day in March.
  const day = new Date(`${seconds.slice(0, 10)}T00:00:00Z`);
  const unixMs = Date.parse(`${seconds}${zone ?? ""}`);
  if (Number.isNaN(unixMs) || Number.isNaN(day.getTime()) || !day.toISOString().startsWith(seconds.slice(0, 10))) {
    return null;
  }
  const unixNs = BigInt(unixMs) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
  return unixNs < 0n || unixNs > UNIX_SECONDS_MAX * NS_PER_S ? null : { unixNs };
}

export function resolveTime(spec: TimeSpec, nowNs: bigint): bigint {
  return "unixNs" in spec ? spec.unixNs : nowNs - spec.beforeNs;
}

/**
 * `1s=1d,1m=7d`: how long to keep the windows of each level; what is not named keeps its default, or what a finer level
 * is kept for. A coarser level must not be kept for less time than a finer one, whose windows it sums up.
 */
export function parseRetention(text: string): bigint[] | null {
  const given = new Map<string, bigint>();
  for (const part of text.split(",")) {
    const [name, spanText, ...rest] = part.split("=");
    const span = spanText === undefined || rest.length > 0 ? null : parseSpan(spanText);
    if (span === null || given.has(name) || !LEVEL_NAMES.some((level) => level === name)) return null;
    given.set(name, span);
  }
  let least = 0n;
  const keepNs: bigint[] = [];
  for (const name of LEVEL_NAMES) {
    const chosen = given.get(name);
    if (chosen !== undefined && chosen < least) return null;
    const fallback = parseSpan(RETENTION_DEFAULT[name])!;
    least = chosen ?? (fallback > least ? fallback : least);
    keepNs.push(least);
  }
  return keepNs;
}
