/** What a spool counts. */
import { type BySeverity, bySeverity } from "../by_severity.ts";

/** Batches, or their events, since the spool was opened: appended + recovered = acknowledged + dropped + spooled. */
export interface SpoolCounts {
  appended: number;
  /** Found on disk when the spool was opened. */
  recovered: number;
  acknowledged: number;
  dropped: BySeverity;
  /** In the spool now. */
  spooled: number;
}

export interface SpoolStats {
  batches: SpoolCounts;
  events: SpoolCounts;
  memoryBytes: number;
  diskBytes: number;
  /** True while the spool's folder cannot be written to. */
  diskFailed: boolean;
}

export function newSpoolCounts(): SpoolCounts {
  return { appended: 0, recovered: 0, acknowledged: 0, dropped: bySeverity(0), spooled: 0 };
}
