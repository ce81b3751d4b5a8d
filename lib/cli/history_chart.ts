/**
 * Charts of block characters. A library draws with lines, needs several rows for what fits into one here, and knows
 * nothing of time: these take values that are already in columns.
 */

const BLOCKS = " ▁▂▃▄▅▆▇█";
const STEPS = BLOCKS.length - 1;

/** The height of a value in eighths of a row; a value above 0 gets at least one eighth. */
function eighths(value: number, max: number, rows: number): number {
  if (value <= 0 || max <= 0) return 0;
  return Math.max(1, Math.round(value / max * rows * STEPS));
}

/** One row, a character a value; the largest value fills its column. */
export function sparkline(values: readonly number[]): string {
  return chart(values, 1)[0];
}

/** Several rows, from the top. */
export function chart(values: readonly number[], rows: number): string[] {
  const max = Math.max(0, ...values);
  const heights = values.map((value) => eighths(value, max, rows));
  return Array.from({ length: rows }, (_, row) => {
    const below = (rows - 1 - row) * STEPS;
    return heights.map((height) => BLOCKS[Math.min(STEPS, Math.max(0, height - below))]).join("");
  });
}
