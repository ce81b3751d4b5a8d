/** A value for each severity. */
import type { Severity } from "../events/event.ts";

/**
 * A number for each severity. A batch has one severity, and each severity numbers its batches on its own: so a critical
 * batch need not wait for those before it that are less severe.
 */
export type BySeverity = Record<Severity, number>;

/** @returns the same number for every severity */
export function bySeverity(value: number): BySeverity {
  return { critical: value, error: value, warning: value, info: value, debug: value };
}
