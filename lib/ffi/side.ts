/** The number of a side: everything that is double-buffered has side 0 and side 1. */

export type Side = 0 | 1;

export const SIDES: readonly Side[] = [0, 1];

export function otherSide(side: Side): Side {
  return (side ^ 1) as Side;
}
