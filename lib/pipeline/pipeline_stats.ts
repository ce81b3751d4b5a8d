/** The statistics of a pipeline. */
import type { EventCount } from "../events/event_count.ts";
import type { ContainerLabel, ProcessLabel } from "./aggregate_stage.ts";
import type { CountTable } from "./bounded_counts.ts";
import type { OverflowPolicy } from "./channel/channel.ts";
import type { Category } from "../events/types/category.ts";
import type { DropCount } from "./filter_stage.ts";
import type { LatencyHistogram } from "./latency_histogram.ts";
import type { CacheStats } from "../processes/process_cache.ts";
import type { EventRates } from "./rates.ts";

export interface StageStats {
  name: string;
  /** Events, since the start. */
  in: number;
  out: number;
  /** Workers that died and were started again. */
  restarts: number;
  /** Time that a batch spent in the stage, recorded once for each of its events. */
  latency: LatencyHistogram;
}

/**
 * Records that a channel dropped. Policy `lost`: a worker died that held them, and the channel cannot hand them out
 * again.
 */
export interface ChannelDrops {
  channel: string;
  policy: OverflowPolicy | "lost";
  count: number;
}

/** Counts of events since the start, unless said otherwise. When nothing moves, `unaccounted` of them is 0. */
export interface PipelineStats {
  in: number;
  filtered: number;
  aggregated: number;
  deadLettered: number;
  /** The sum of `droppedByChannel`. */
  dropped: number;
  /** Events in the channels and nodes now. */
  inFlight: number;
  /** Events that were handed to another worker, because theirs died. */
  retried: number;
  filteredByRule: DropCount[];
  droppedByChannel: ChannelDrops[];
  /** Share of each channel's room in use now, 0 to 1. */
  channelFill: { channel: string; fill: number }[];
  /** In the order in which events pass. */
  stages: StageStats[];
  /** From the kernel's timestamp to the end of the last stage. */
  latency: LatencyHistogram;
  /** Aggregated events a second. */
  rates: EventRates;
  categories: Record<Category, number>;
  eventCounts: EventCount[];
  /** The largest counts; the count of everything else is in `other`. */
  processes: CountTable<ProcessLabel>;
  containers: CountTable<ContainerLabel>;
  /** Counters of the process cache; null without an enrich stage. */
  cache: CacheStats | null;
}

/**
 * Events that came in and are counted nowhere. Anything but 0 is a bug; a negative number means that events were
 * counted twice.
 */
export function unaccounted(
  stats: Pick<PipelineStats, "in" | "filtered" | "aggregated" | "deadLettered" | "dropped" | "inFlight">,
): number {
  return stats.in - stats.filtered - stats.aggregated - stats.deadLettered - stats.dropped - stats.inFlight;
}
