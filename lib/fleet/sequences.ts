/** How batches and the records in them are numbered. */
import { SEVERITIES, type Severity } from "../events/event.ts";

/** The most records that a batch may hold: its events and the rows of its windows together. */
export const BATCH_RECORDS_MAX = 1000;

/** Numbers that are set aside for the records of one batch: a power of two above `BATCH_RECORDS_MAX`. */
const RECORD_SLOTS = 1024;

/**
 * The number of a record, unique within its agent. It is made of the batch's sequence, the batch's severity and the
 * record's index in the batch. It is an exact integer up to sequence 1.7e12, almost four times the first sequence of a
 * spool that is made in 2026.
 */
export function recordNumber(severity: Severity, sequence: number, index: number): number {
  return (sequence * SEVERITIES.length + SEVERITIES.indexOf(severity)) * RECORD_SLOTS + index;
}

/**
 * The first sequence of a new spool. It grows with time, so that an agent which lost its spool begins above every
 * sequence that it has used, provided that it made fewer than 256 batches of a severity a second on average.
 */
export function firstSequence(unixMs: number): number {
  return Math.floor(unixMs * 0.256);
}
