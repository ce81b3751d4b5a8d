/**
 * The metrics of a fleet's server. None has a label for each agent, whose number is not bounded; the API has the counts
 * of each agent.
 */
import type { PartitionStats } from "../correlation/correlator_messages.ts";
import type { OtlpCounts } from "../traces/otlp_exporter.ts";
import { addProcessMetrics, type BuildLabels, type ProcessSnapshot } from "../../export/process_metrics.ts";
import { PrometheusText, type Sample } from "../../metrics/prometheus.ts";
import type { FleetServerStats } from "./grpc_service.ts";
import type { StoreCounts } from "./store_messages.ts";

/** A server's counts of its part in a shared stream. */
export interface NatsCounts {
  connected: boolean;
  publishedMessages: number;
  duplicateMessages: number;
  publishFailures: number;
  partitions: number;
  /** Over the partitions that this process works on. */
  pendingMessages: number;
}

export interface ServerSnapshot {
  build: BuildLabels;
  process: ProcessSnapshot;
  /** null where this process receives no agents. */
  server: FleetServerStats | null;
  /** null where this process stores nothing. */
  store: StoreCounts | null;
  /** null where this process does not correlate. */
  correlation: {
    partitions: readonly PartitionStats[];
    unknown: number;
    lagBatches: number;
    groups: { recorded: number; repeated: number };
  } | null;
  traces: OtlpCounts | null;
  nats: NatsCounts | null;
}

export function renderServerMetrics(snapshot: ServerSnapshot): string {
  const text = new PrometheusText();
  addProcessMetrics(text, snapshot.build, snapshot.process);
  if (snapshot.server !== null) addServer(text, snapshot.server);
  if (snapshot.store !== null) addStore(text, snapshot.store);
  if (snapshot.correlation !== null) addCorrelation(text, snapshot.correlation);
  if (snapshot.traces !== null) addTraces(text, snapshot.traces);
  if (snapshot.nats !== null) addNats(text, snapshot.nats);
  return text.toString();
}

function single(value: number): Sample[] {
  return [{ value }];
}

function addServer(text: PrometheusText, { agentsConnected, streams, refused, agents }: FleetServerStats): void {
  const sum = (count: "batches" | "events" | "bytes" | "duplicates" | "throttledMs") =>
    agents.reduce((sum, agent) => sum + agent[count], 0);
  text.gauge("ebpfmon_fleet_agents_connected", "Agents with a stream.", single(agentsConnected));
  text.gauge("ebpfmon_fleet_agents_known", "Agents that had a stream since the start.", single(agents.length));
  text.gauge("ebpfmon_fleet_streams", "Streams that are open.", single(streams));
  text.counter(
    "ebpfmon_fleet_refused_total",
    "Streams and connections that were turned away.",
    Object.entries(refused).map(([reason, value]) => ({ labels: { reason }, value })),
  );
  text.counter("ebpfmon_fleet_batches_total", "Batches stored and acknowledged.", single(sum("batches")));
  text.counter("ebpfmon_fleet_events_total", "Events in them.", single(sum("events")));
  text.counter("ebpfmon_fleet_received_bytes_total", "Bytes of the batches received.", single(sum("bytes")));
  text.counter(
    "ebpfmon_fleet_duplicates_total",
    "Batches that came again, and were not stored again.",
    single(sum("duplicates")),
  );
  text.counter(
    "ebpfmon_fleet_throttled_seconds_total",
    "Time for which agents were read more slowly than they could send.",
    single(sum("throttledMs") / 1000),
  );
}

function addStore(text: PrometheusText, counts: StoreCounts): void {
  text.counter("ebpfmon_store_commits_total", "Commits of the store.", single(counts.commits));
  text.counter("ebpfmon_store_commit_seconds_total", "Time spent in commits.", single(counts.commitSeconds));
  text.counter("ebpfmon_store_batches_total", "Batches that were stored.", single(counts.batches));
  text.counter("ebpfmon_store_duplicates_total", "Batches that the store had already.", single(counts.duplicates));
  text.counter("ebpfmon_store_evicted_batches_total", "Batches that made room.", single(counts.evictedBatches));
  text.counter(
    "ebpfmon_store_evicted_unread_total",
    "Batches that made room before correlation had read them.",
    single(counts.evictedUnread),
  );
  text.gauge("ebpfmon_store_size_bytes", "Size of the store.", single(counts.sizeBytes));
}

function addCorrelation(text: PrometheusText, correlation: NonNullable<ServerSnapshot["correlation"]>): void {
  const { partitions, unknown, lagBatches, groups } = correlation;
  const stats = partitions.map(({ stats }) => stats);
  const sum = (count: "processed" | "duplicates" | "late" | "future" | "waiting" | "open" | "members" | "processes") =>
    stats.reduce((sum, partition) => sum + partition[count], 0);
  text.gauge("ebpfmon_correlation_partitions", "Partitions that this process works on.", single(partitions.length));
  text.counter("ebpfmon_correlation_records_total", "Records taken, by what became of them.", [
    ...(["processed", "duplicates", "late", "future"] as const).map((outcome) => ({
      labels: { outcome },
      value: sum(outcome),
    })),
    { labels: { outcome: "unknown" }, value: unknown },
  ]);
  text.gauge("ebpfmon_correlation_waiting_records", "Records held back until none before them can come.", [
    { value: sum("waiting") },
  ]);
  text.gauge("ebpfmon_correlation_open_groups", "Groups in the making.", single(sum("open")));
  text.gauge("ebpfmon_correlation_members", "Records in them.", single(sum("members")));
  text.gauge("ebpfmon_correlation_processes", "Processes that are followed.", single(sum("processes")));
  text.gauge("ebpfmon_correlation_lag_batches", "Batches that wait to be correlated.", single(lagBatches));
  text.counter("ebpfmon_correlation_groups_total", "Groups that were recorded, and that were known already.", [
    { labels: { outcome: "recorded" }, value: groups.recorded },
    { labels: { outcome: "repeated" }, value: groups.repeated },
  ]);
}

function addTraces(text: PrometheusText, counts: OtlpCounts): void {
  text.counter(
    "ebpfmon_export_otlp_spans_total",
    "Spans for the receiver of traces, by what became of them.",
    (["exported", "rejected", "failed", "dropped"] as const).map((outcome) => ({
      labels: { outcome },
      value: counts[outcome],
    })),
  );
  text.gauge("ebpfmon_export_otlp_waiting_spans", "Spans that wait to be sent.", single(counts.waiting));
  text.counter("ebpfmon_export_otlp_requests_total", "Requests to the receiver.", single(counts.requests));
  text.counter("ebpfmon_export_otlp_retries_total", "Requests that were tried again.", single(counts.retries));
}

function addNats(text: PrometheusText, counts: NatsCounts): void {
  text.gauge("ebpfmon_nats_connected", "1 while there is a connection to NATS.", single(counts.connected ? 1 : 0));
  text.counter("ebpfmon_nats_published_total", "Messages that the stream took.", single(counts.publishedMessages));
  text.counter(
    "ebpfmon_nats_duplicates_total",
    "Messages that the stream had already.",
    single(counts.duplicateMessages),
  );
  text.counter("ebpfmon_nats_publish_failures_total", "Messages that it did not take.", single(counts.publishFailures));
  text.gauge("ebpfmon_nats_partitions", "Partitions that this process has.", single(counts.partitions));
  text.gauge("ebpfmon_nats_pending_messages", "Messages of theirs that wait.", single(counts.pendingMessages));
}
