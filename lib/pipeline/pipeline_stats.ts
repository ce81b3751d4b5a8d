/** What a pipeline says of itself. */
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
  /** What a batch spent in the stage, once for each of its events. */
  latency: LatencyHistogram;
}

/** `lost`: a worker died over records that its channel cannot hand out again. */
export interface ChannelDrops {
  channel: string;
  policy: OverflowPolicy | "lost";
  count: number;
}

/** Counts of events since the start, unless said otherwise. Together in one instant: `unaccounted` is 0. */
export interface PipelineStats {
  in: number;
  filtered: number;
  aggregated: number;
  deadLettered: number;
  /** The sum of `droppedByChannel`. */
  dropped: number;
  /** Inside now. */
  inFlight: number;
  /** Handed to another worker after theirs died. */
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
  /** The largest; what is in no row is in `other`. */
  processes: CountTable<ProcessLabel>;
  containers: CountTable<ContainerLabel>;
  /** null without an enrich stage. */
  cache: CacheStats | null;
}

/** Events that came in and are nowhere: 0, or something is wrong. Negative where events were counted twice. */
export function unaccounted(
  stats: Pick<PipelineStats, "in" | "filtered" | "aggregated" | "deadLettered" | "dropped" | "inFlight">,
): number {
  return stats.in - stats.filtered - stats.aggregated - stats.deadLettered - stats.dropped - stats.inFlight;
}
