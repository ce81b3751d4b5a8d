/** What a user can set about process activity. */

/** What rows are ranked by; `bytes` is `in` and `out` together. */
export const ACTIVITY_ORDERS = ["calls", "time", "errors", "bytes", "in", "out"] as const;

export type ActivityOrder = typeof ACTIVITY_ORDERS[number];

/** What rows stand for. */
export const ACTIVITY_GROUPINGS = ["process", "container", "user", "syscall"] as const;

export type ActivityGrouping = typeof ACTIVITY_GROUPINGS[number];

/** What is shown of a window; it may change from one to the next. What is counted does not depend on it. */
export interface ActivityArrangement {
  order: ActivityOrder;
  by: ActivityGrouping;
  /** Only calls of this name; null for all. */
  syscall: string | null;
  /** Only processes whose name contains this; empty for all. */
  comm: string;
  /** null for all. */
  pid: number | null;
  uid: number | null;
}

/** Everything a user can set about process activity. */
export interface ActivityOptions extends ActivityArrangement {
  /** Entries (a process and a kind of call) that a side has room for at first, and that it may grow to. */
  entriesMax: number;
  entriesMaxLimit: number;
  /** One of so many calls is counted; 1 for all. */
  sampling: number;
  topMax: number;
  /** Processes whose sums since the start are kept for metrics; 0 for none. */
  totalsMax: number;
}
