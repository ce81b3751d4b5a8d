/** Whose event it is, as far as the kernel told. */
import { type EventBase, UID_UNKNOWN } from "./event.ts";

/** What each of these is where it is unknown. */
const UNKNOWN = { uid: UID_UNKNOWN, comm: "", cgroupId: 0n } as const;

/** Whether the event's process is known so far; where it is not, the member holds no true value. */
export function isKnown(event: EventBase, member: keyof typeof UNKNOWN): boolean {
  return !event.incomplete || event[member] !== UNKNOWN[member];
}
