/**
 * Reads a count-min sketch that the kernel has filled (bpf/sketch.h). Its answer for a key is never less than the key
 * had; it is more by what other keys put into the same cells, in the least disturbed of its rows. With so many rows and
 * columns that is at most e / COLUMNS of all there is, in all but e^-ROWS of cases: 0.0041 %, 1.8 % (Cormode and
 * Muthukrishnan, An improved data stream summary: the count-min sketch and its applications, 2005).
 */
import { COUNT_MIN_CELL, COUNT_MIN_SHAPE } from "../../wire/layouts.gen.ts";
import type { Traffic } from "../windows/flow_window.ts";

const { COUNT_MIN_ROWS: ROWS, COUNT_MIN_COLUMNS: COLUMNS } = COUNT_MIN_SHAPE;
const CELL_WORDS = COUNT_MIN_CELL.size / 4;
const PACKETS = COUNT_MIN_CELL.fields.packets.offset / 4;
const BYTES = COUNT_MIN_CELL.fields.bytes.offset / 4;
const TWO_TO_32 = 2 ** 32;

/** Length of a sketch in memory. */
export const COUNT_MIN_BYTES = ROWS * COLUMNS * COUNT_MIN_CELL.size;

/** Share of all traffic by which an answer may be too high. */
export const COUNT_MIN_EPSILON = Math.E / COLUMNS;

/** How often it may be higher still. */
export const COUNT_MIN_DELTA = Math.E ** -ROWS;

export class CountMin {
  readonly #words: Uint32Array<ArrayBuffer>;

  /** @param memory where a `struct count_min` starts at `byteOffset`; quiet while it is read */
  constructor(memory: { bytes: ArrayBuffer; byteOffset: number }) {
    this.#words = new Uint32Array(memory.bytes, memory.byteOffset, COUNT_MIN_BYTES / 4);
  }

  /** The most that a key of this hash can have had. `low` and `high`: the two halves of the hash. */
  upperBound(low: number, high: number): Traffic {
    const words = this.#words;
    let packets = Infinity;
    let bytes = Infinity;
    for (let row = 0; row < ROWS; row++) {
      // Sixteen bits of the hash a row, the lowest first.
      const column = (row < 2 ? low >>> 16 * row : high >>> 16 * (row - 2)) & (COLUMNS - 1);
      const cell = (row * COLUMNS + column) * CELL_WORDS;
      packets = Math.min(packets, words[cell + PACKETS] + words[cell + PACKETS + 1] * TWO_TO_32);
      bytes = Math.min(bytes, words[cell + BYTES] + words[cell + BYTES + 1] * TWO_TO_32);
    }
    return { packets, bytes };
  }
}
