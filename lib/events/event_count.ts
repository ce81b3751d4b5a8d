/** Events counted by type and severity. */

import type { EventType, Severity } from "./event.ts";

export interface EventCount {
  event: EventType;
  severity: Severity;
  /** Records that came through: exact. */
  records: number;
  /** Events that they stand for: exact while nothing is sampled, else an unbiased estimate. */
  estimated: number;
}
