/**
 * Finds equal keys among many encoded ones: a hash table over the bytes, as converting each key to text would be
 * slower.
 */

const FNV_PRIME = 16_777_619;
const FNV_BASIS = 2_166_136_261;

export class KeyIndex {
  readonly #bytes: Uint8Array;
  readonly #keyBytes: number;
  readonly #mask: number;
  /** In each cell 1 + the position of a key; 0 for none. */
  readonly #slots: Uint32Array;

  /** @param bytes memory of `keysMax` keys of `keyBytes` each, which the caller fills before `add` */
  constructor(bytes: Uint8Array, { keyBytes, keysMax }: { keyBytes: number; keysMax: number }) {
    let slots = 8;
    while (slots < 2 * keysMax) slots *= 2;
    this.#bytes = bytes;
    this.#keyBytes = keyBytes;
    this.#mask = slots - 1;
    this.#slots = new Uint32Array(slots);
  }

  /** Adds the key at a position. @returns the position of the first equal key: its own when it is new */
  add(position: number): number {
    for (let slot = this.#hash(position) & this.#mask;; slot = slot + 1 & this.#mask) {
      const known = this.#slots[slot] - 1;
      if (known < 0) {
        this.#slots[slot] = position + 1;
        return position;
      }
      if (this.#isSame(known, position)) return known;
    }
  }

  #hash(position: number): number {
    let hash = FNV_BASIS;
    const end = (position + 1) * this.#keyBytes;
    for (let at = position * this.#keyBytes; at < end; at++) hash = Math.imul(hash ^ this.#bytes[at], FNV_PRIME);
    return hash ^ hash >>> 15;
  }

  #isSame(a: number, b: number): boolean {
    const [aAt, bAt] = [a * this.#keyBytes, b * this.#keyBytes];
    for (let i = 0; i < this.#keyBytes; i++) if (this.#bytes[aAt + i] !== this.#bytes[bAt + i]) return false;
    return true;
  }
}
