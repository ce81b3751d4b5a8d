/**
 * A perfect hash from interface indexes to small slot numbers, so that a program finds its counters with one
 * multiplication: slot = (ifindex * multiplier mod 2^32) >> shift. Multiply-shift hashing after Dietzfelbinger et al.,
 * "A reliable randomized algorithm for the closest-pair problem" (1997).
 */
export interface SlotTable {
  /** A power of two: the slots that `shift` leaves. */
  slots: number;
  multiplier: number;
  shift: number;
  /** Slot of each ifindex, in the order given. */
  slotOf: number[];
}

const SLOTS_MAX = 4096;
const ATTEMPTS = 200;

/**
 * @param ifindexes distinct; at least one
 * @throws {RangeError} when none of the tables tried keeps them apart (thousands of interfaces)
 */
export function findSlots(ifindexes: number[]): SlotTable {
  let multiplier = 0x9e37_79b1; // 2^32 / golden ratio, then its multiples: fixed, so that a failure can be repeated
  for (let bits = 1; 1 << bits <= SLOTS_MAX; bits++) {
    if (1 << bits < ifindexes.length) continue;
    const shift = 32 - bits;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const slotOf = ifindexes.map((ifindex) => Math.imul(ifindex, multiplier) >>> shift);
      if (new Set(slotOf).size === ifindexes.length) return { slots: 1 << bits, multiplier, shift, slotOf };
      multiplier = (Math.imul(multiplier, 0x9e37_79b1) | 1) >>> 0;
    }
  }
  throw new RangeError(`Cannot give ${ifindexes.length} interfaces a slot each`);
}
