/** Flags about system calls by process. */
import type { ActivityOptions } from "../../aggregate/activity/activity_options.ts";
import { integerFlag } from "./kinds.ts";

/** Room for most hosts; a map that turns out too small is doubled up to the limit. */
export const ACTIVITY_ENTRIES = { entriesMax: 8_192, entriesMaxLimit: 131_072 } satisfies Partial<ActivityOptions>;

export const SAMPLING_FLAG = {
  sampling: integerFlag(
    "sampling",
    "N",
    { min: 1, max: 65_536, unit: "calls", fallback: 1 },
    "count one of so many system calls, as that many",
  ),
} satisfies Partial<Record<keyof ActivityOptions, unknown>>;
