/** The two sides of whatever is double-buffered. */

export type Side = 0 | 1;

export const SIDES: readonly Side[] = [0, 1];

export function otherSide(side: Side): Side {
  return (side ^ 1) as Side;
}
