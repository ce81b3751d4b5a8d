/** What the predicates of both kinds of filter are made of. */

/** Any predicate over what a filter looks at. */
type Predicate<Arguments extends unknown[]> = (...subject: Arguments) => boolean;

/** Joins neighbours until one is left: a tree, so that a long chain neither nests deeply nor needs a loop per call. */
export function joinPairs<P extends Predicate<never>>(terms: P[], join: (left: P, right: P) => P): P {
  if (terms.length === 1) return terms[0];
  const middle = terms.length >> 1;
  return join(joinPairs(terms.slice(0, middle), join), joinPairs(terms.slice(middle), join));
}

/** Whether the bytes from `at` on start with the first `prefix` bits of `address`. */
export function hasPrefix(bytes: Uint8Array, at: number, { address, prefix }: {
  address: Uint8Array;
  prefix: number;
}): boolean {
  const whole = prefix >> 3;
  for (let i = 0; i < whole; i++) if (bytes[at + i] !== address[i]) return false;
  return prefix === whole << 3 || (bytes[at + whole] ^ address[whole]) >> (8 - (prefix & 7)) === 0;
}
