/** The list of the types of events. A new type is a file in lib/events/types/ and a line here. */
import type { EventDescription } from "./event_description.ts";
import { fileOpen } from "./file_open.ts";
import { networkConnect } from "./network_connect.ts";
import { processExec } from "./process_exec.ts";
import { processExit } from "./process_exit.ts";
import { resourceLimit } from "./resource_limit.ts";
import { securityViolation } from "./security_violation.ts";
import { tcpState } from "./tcp_state.ts";

/** In the order of `enum event_type` in bpf/event.h. */
export const EVENT_DESCRIPTIONS = [
  processExec,
  processExit,
  fileOpen,
  networkConnect,
  tcpState,
  securityViolation,
  resourceLimit,
] as const;

type Descriptions = typeof EVENT_DESCRIPTIONS;

/** What the type of a description adds to an event. */
export type PayloadOf<Description> = Description extends EventDescription<infer P, infer _> ? P : never;

/** A description that takes events of any type. Its callers pass each only events of its own type. */
export type AnyDescription = EventDescription<PayloadOf<Descriptions[number]>>;

/** The list by the numbers of `enum event_type`. */
export const DESCRIPTIONS_BY_NUMBER: readonly AnyDescription[] = EVENT_DESCRIPTIONS;

const BY_NAME = new Map<string, AnyDescription>(
  DESCRIPTIONS_BY_NUMBER.map((description) => [description.name, description]),
);

export function descriptionOf(type: Descriptions[number]["name"]): AnyDescription {
  return BY_NAME.get(type)!;
}
