/** Whether the kernel told which process an event is of. */
import { type EventBase, UID_UNKNOWN } from "./event.ts";

/** The values that stand for an unknown user, name and cgroup. */
const UNKNOWN = { uid: UID_UNKNOWN, comm: "", cgroupId: 0n } as const;

/**
 * Whether a member that describes the event's process holds its true value, and not the one that stands for unknown.
 */
export function isKnown(event: EventBase, member: keyof typeof UNKNOWN): boolean {
  return !event.incomplete || event[member] !== UNKNOWN[member];
}
