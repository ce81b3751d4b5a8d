/** The metrics of an agent's link to its server. */
import type { LinkStats } from "./link.ts";
import type { SpoolCounts, SpoolStats } from "./spool_stats.ts";
import type { PrometheusText, Sample } from "../../metrics/prometheus.ts";

export interface AgentCounts {
  spool: SpoolStats;
  link: LinkStats;
  /** One debug event out of this many is sent now; null where none is. */
  debugSampling: number | null;
}

/** Adds an agent's families to a page of metrics: appended + recovered = acknowledged + dropped + spooled. */
export function addAgentMetrics(text: PrometheusText, counts: AgentCounts): void {
  const { spool, link, debugSampling } = counts;
  const debugShare = debugSampling === null ? 0 : 1 / debugSampling;
  addSpooled(text, "batches", spool.batches);
  addSpooled(text, "events", spool.events);
  const gauge = (name: string, help: string, value: number) => text.gauge(`ebpfmon_agent_${name}`, help, [{ value }]);
  const counter = (name: string, help: string, value: number) =>
    text.counter(`ebpfmon_agent_${name}_total`, help, [{ value }]);
  gauge("connected", "1 while there is a stream to a server.", link.connected ? 1 : 0);
  gauge("congested", "1 while more waits than the server takes.", link.congested ? 1 : 0);
  gauge("in_flight_bytes", "Bytes that are sent and not acknowledged.", link.inFlightBytes);
  gauge("window_bytes", "Bytes that the server lets us have under way.", link.windowBytes);
  gauge("spool_memory_bytes", "Bytes of batches in memory.", spool.memoryBytes);
  gauge("spool_disk_bytes", "Bytes of the spool's files.", spool.diskBytes);
  gauge("spool_disk_failed", "1 while the spool's folder cannot be written to.", spool.diskFailed ? 1 : 0);
  gauge("debug_sampling_ratio", "Share of debug events that is sent.", debugShare);
  counter("sent_batches", "Batches sent; one that had to be sent again counts again.", link.sentBatches);
  counter("sent_events", "Events in them.", link.sentEvents);
  counter("reconnects", "Streams that were opened after the first one.", link.reconnects);
  counter("failures", "Streams, and attempts at one, that failed.", link.failures);
  text.gauge(
    "ebpfmon_agent_last_sent_timestamp_seconds",
    "When a batch was sent last, since the epoch.",
    link.lastSentUnixMs === null ? [] : [{ value: link.lastSentUnixMs / 1000 }],
  );
}

function addSpooled(text: PrometheusText, what: "batches" | "events", counts: SpoolCounts): void {
  const incoming: Sample[] = [
    { labels: { origin: "new" }, value: counts.appended },
    { labels: { origin: "recovered" }, value: counts.recovered },
  ];
  text.counter(`ebpfmon_agent_${what}_total`, `The ${what} that came to the spool.`, incoming);
  text.counter(`ebpfmon_agent_acknowledged_${what}_total`, `The ${what} that a server has stored.`, [
    { value: counts.acknowledged },
  ]);
  text.counter(
    `ebpfmon_agent_dropped_${what}_total`,
    `The ${what} that found no room in the spool.`,
    Object.entries(counts.dropped).map(([severity, value]) => ({ labels: { severity }, value })),
  );
  text.gauge(`ebpfmon_agent_spooled_${what}`, `The ${what} that are not acknowledged.`, [{ value: counts.spooled }]);
}
