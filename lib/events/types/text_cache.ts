/**
 * A cache of decoded text, for bytes that come again and again: names of commands, paths. It is a direct-mapped table
 * (Hennessy and Patterson, Computer Architecture, appendix B): a hit costs a hash and a comparison, where decoding
 * costs ten times that.
 */

const TEXT = new TextDecoder();

export class TextCache {
  readonly #texts: string[];
  /** The bytes of each text, one slot after another. */
  readonly #bytes: Uint8Array;
  /** By slot: 1 + the number of bytes of its text; 0 for an empty slot. */
  readonly #lengths: Uint16Array;
  readonly #lengthMax: number;
  readonly #mask: number;

  /**
   * @param slots a power of two
   * @param lengthMax bytes; longer texts are decoded each time
   */
  constructor(slots: number, lengthMax: number) {
    this.#texts = new Array<string>(slots).fill("");
    this.#bytes = new Uint8Array(slots * lengthMax);
    this.#lengths = new Uint16Array(slots);
    this.#lengthMax = lengthMax;
    this.#mask = slots - 1;
  }

  /** The text from `start` to `end`; what is no UTF-8 is decoded as far as it goes. */
  decode(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): string {
    const length = end - start;
    if (length <= 0) return "";
    if (length > this.#lengthMax) return TEXT.decode(bytes.subarray(start, end));
    // FNV-1a, its upper bits folded into the lower ones that choose the slot.
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
    const slot = (hash ^ hash >>> 15) & this.#mask;
    const at = slot * this.#lengthMax;
    if (this.#lengths[slot] === length + 1) {
      let same = 0;
      while (same < length && this.#bytes[at + same] === bytes[start + same]) same++;
      if (same === length) return this.#texts[slot];
    }
    const text = TEXT.decode(bytes.subarray(start, end));
    this.#texts[slot] = text;
    this.#lengths[slot] = length + 1;
    for (let i = 0; i < length; i++) this.#bytes[at + i] = bytes[start + i];
    return text;
  }
}
