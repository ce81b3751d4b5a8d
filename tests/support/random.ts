/** A small seeded generator, so that what failed can be run again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From TEST_SEED, so that a failure can be repeated, else from the system. */
  static freshSeed(): number {
    const given = Deno.env.get("TEST_SEED");
    return given === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(given);
  }

  /** An integer from 0 to `limit` - 1. Marsaglia's Weyl sequence through a 32-bit mixer (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed)) ^ mixed;
    return Math.floor(((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32 * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }
}
