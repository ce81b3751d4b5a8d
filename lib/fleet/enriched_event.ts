/** An event with what its agent knows beyond it. Types only. */
import type { RouterEvent } from "../events/event.ts";

/** What an agent knows of an event's process beyond the event itself. Unknown fields are absent. */
export interface EventEnrichment {
  /** Path of the program. */
  exe?: string;
  /** The parent process, when the event happened. */
  ppid?: number;
  parentName?: string;
  user?: string;
  containerId?: string;
  podUid?: string;
  service?: string;
  category?: string;
  /** From 1 for the most important events to 3 for those that may be left out. */
  priority?: number;
}

export interface EnrichedEvent {
  event: RouterEvent;
  enrichment?: EventEnrichment;
}
