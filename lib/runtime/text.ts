/** Text for a terminal: escapes for control characters, widths of columns, and short forms of numbers. */

/** C0, DEL, C1, line separators and the bidirectional controls, which can hide or reorder what follows them. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** First and last code points that take two columns: the East Asian wide blocks and emoji. */
const WIDE_RANGES = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/** Replaces control characters by visible escapes: `\x1b`, `\u202e`. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (char) => {
    const code = char.charCodeAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/** Columns that a text without control characters takes on a terminal. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** Cuts a text to at most `width` columns; the last column of a cut text is an ellipsis. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = "";
  let keptWidth = 0;
  for (const char of text) {
    keptWidth += charWidth(char);
    if (keptWidth > width - 1) break;
    kept += char;
  }
  return width > 0 ? `${kept}…` : "";
}

/** Cuts or pads a text to exactly `width` columns. */
export function fit(text: string, width: number, align: "left" | "right" = "left"): string {
  const cut = truncate(text, width);
  const padding = " ".repeat(width - displayWidth(cut));
  return align === "left" ? cut + padding : padding + cut;
}

/** `999`, `1.2 k`, `3.4 M`. */
export function humanCount(count: number | bigint): string {
  return scaled(Number(count), "");
}

/** `999 B`, `1.2 kB`, `3.4 MB`: powers of 1000. */
export function humanBytes(bytes: number | bigint): string {
  return scaled(Number(bytes), "B");
}

/** `999 bit/s`, `12.5 Mbit/s`. */
export function humanBitRate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, "bit/s");
}

/** `12 µs`, `3.4 ms`, `1.2 s`: for durations that are usually short. */
export function humanSeconds(seconds: number): string {
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  return seconds < 0.9995 ? `${(seconds * 1e3).toFixed(1)} ms` : `${seconds.toFixed(1)} s`;
}

/** `7s`, `2m 07s`, `3h 02m 07s`, `1d 03h 02m`: for durations that may be long, in whole seconds. */
export function humanDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ] as const;
  const first = Math.min(...parts.flatMap(([value], i) => value > 0 ? [i] : []), parts.length - 1);
  return parts.slice(first, first + 3)
    .map(([value, unit], i) => (i === 0 ? String(value) : String(value).padStart(2, "0")) + unit)
    .join(" ");
}

function scaled(value: number, unit: string): string {
  let power = 0;
  let rounded = Math.round(value);
  // Compare what will be shown: 999,950 is 1.0 M, not 1000.0 k.
  while (rounded >= 1000 && power < PREFIXES.length - 1) {
    power++;
    rounded = Math.round(value / 1000 ** power * 10) / 10;
  }
  const text = power === 0 ? String(rounded) : rounded.toFixed(1);
  return `${text} ${PREFIXES[power]}${unit}`.trimEnd();
}

function charWidth(char: string): number {
  if (/^[\p{Mn}\p{Me}\p{Cf}]$/u.test(char)) return 0;
  const code = char.codePointAt(0)!;
  return WIDE_RANGES.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}
