/** Events counted by type and severity. */

import type { EventType, Severity } from "./event.ts";

export interface EventCount {
  event: EventType;
  severity: Severity;
  /** Records that arrived: an exact count. */
  records: number;
  /** Events that those records stand for: exact while nothing is sampled, else an unbiased estimate. */
  estimated: number;
}
