/** Which events a server asks its agents for. Types only. */
import type { RouterEvent, Severity } from "../events/event.ts";

/** Which events an agent is to send. A new filter replaces the one before. */
export interface FleetFilter {
  generation: number;
  /** The types of events to send; empty for all. */
  events: RouterEvent["event"][];
  /** The least severe severity to send; null for all. */
  severity: Severity | null;
  /** Address prefixes of the connections to send, as in `192.0.2.0/24`; empty for all. */
  nets: string[];
  /** One debug event out of this many is sent; at least 1. */
  debugSampling: number;
}
