/** The objects of `--json` and the metrics that the event router adds. */

import { errnoName } from "../runtime/errors.ts";
import type { Alert } from "../router/alerts.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import { dropRate } from "../router/ring_rates.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import { isKnown } from "../events/subject.ts";
import type { EventType } from "../events/event.ts";
import { descriptionOf } from "../events/types/mod.ts";
import type { HealthReport, RingCounters } from "../router/router_messages.ts";
import { outcomeFields } from "./pipeline_json.ts";
import { addPipelineMetrics } from "./pipeline_metrics.ts";
import { alertObject, head, type JsonObject, type Stamp } from "./json_lines.ts";
import type { PrometheusText, Sample } from "../metrics/prometheus.ts";

/** `ready`: the types of events that are watched. `listen` is the address where HTTP answers, or null. */
export function eventsReadyObject(
  stamp: Stamp,
  { sources, listen }: { sources: EventType[]; listen: string | null },
): JsonObject {
  return { ...head("ready", stamp), sources, listen };
}

/**
 * `event`, stamped with the time when it happened.
 *
 * @param bootUnixNs the time since the epoch minus CLOCK_MONOTONIC, in nanoseconds
 */
export function eventObject(host: string, event: PipelineEvent, bootUnixNs: bigint): JsonObject {
  return {
    ...head("event", { unixNs: bootUnixNs + event.tsNs, host }),
    event: event.event,
    severity: event.severity,
    pid: event.pid,
    tid: event.tid,
    ...isKnown(event, "uid") && { uid: event.uid },
    ...isKnown(event, "comm") && { comm: event.comm },
    ...descriptionOf(event.event).fields(event),
    result: event.result,
    ...event.result < 0 && { error: errnoName(-event.result) },
    ts_ns: event.tsNs,
    first_ns: event.firstNs,
    repeats: event.repeats,
    weight: event.weight,
    spilled: event.spilled,
    cpu: event.cpu,
    ...isKnown(event, "cgroupId") && { cgroup_id: event.cgroupId },
    rules_generation: event.rulesGeneration,
    category: event.category,
    priority: event.priority,
    ...event.process && processFields(event.process),
    ...event.service !== "" && { service: event.service },
  };
}

/** What is known of an event's process. Members that are not known are left out. */
function processFields(process: NonNullable<PipelineEvent["process"]>): Record<string, unknown> {
  const { ppid, parentName, exe, user, containerId, podUid } = process;
  const known = { parent_pid: ppid, parent_comm: parentName, exe, user, container_id: containerId, pod_uid: podUid };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== "" && value !== 0));
}

/** `health`: the counters of the rings since the start, and the numbers of events that never went to a ring. */
export function healthObject(host: string, health: HealthReport): JsonObject {
  return {
    ...head("health", { unixNs: health.unixNs, host }),
    rings: health.rings.map(ringFields),
    ...heldBackFields(health),
    dropped_by_event: countsByEvent(health.droppedByType),
    rate_limited_by_pid: health.rateLimitedByPid.map(({ pid, count }) => ({ pid, count })),
  };
}

/** `alert`, stamped with the time of the report that caused it. */
export function ringAlertObject(stamp: Stamp, { alert, level, message, fields }: Alert): JsonObject {
  return alertObject(stamp, alert, message, { level, ...fields });
}

/** `summary`: the totals of a run. */
export function eventsSummaryObject(stamp: Stamp, totals: EventTotals): JsonObject {
  const { health, pipeline } = totals;
  return {
    ...head("summary", stamp),
    records: totals.records,
    events: totals.counts(pipeline).map(({ event, severity, records, estimated }) => ({
      event,
      severity,
      records,
      estimated,
    })),
    dropped_by_event: countsByEvent(totals.droppedByType()),
    ...health && { rings: health.rings.map(ringFields), ...heldBackFields(health) },
    ...pipeline && { pipeline: outcomeFields(pipeline) },
  };
}

/** Adds the families of the router and its pipeline to a page of metrics. */
export function addEventMetrics(text: PrometheusText, totals: EventTotals): void {
  const { health, pipeline } = totals;
  const counts = totals.counts(pipeline);
  const bySeverity = (count: "records" | "estimated"): Sample[] =>
    counts.map(({ event, severity, ...row }) => ({ labels: { event, severity }, value: row[count] }));
  text.counter("ebpfmon_events_total", "Event records that came through.", bySeverity("records"));
  text.counter(
    "ebpfmon_events_estimated_total",
    "Events that the records stand for; an estimate without bias where debug was sampled.",
    bySeverity("estimated"),
  );
  text.counter(
    "ebpfmon_events_dropped_total",
    "Events lost because every ring they could go to was full.",
    totals.droppedByType().map(({ event, count }) => ({ labels: { event }, value: count })),
  );

  if (pipeline !== null) addPipelineMetrics(text, pipeline);
  if (health === null) return;
  const byRing = (value: (counters: RingCounters) => number | bigint): Sample[] =>
    health.rings.map((counters) => ({ labels: { ring: counters.ring }, value: value(counters) }));
  text.counter("ebpfmon_ring_submitted_total", "Records that a ring took.", byRing((ring) => ring.submitted));
  text.counter("ebpfmon_ring_dropped_total", "Records lost, after spilling.", byRing((ring) => ring.dropped));
  text.counter("ebpfmon_ring_failures_total", "Records that could not be built.", byRing((ring) => ring.failures));
  text.counter(
    "ebpfmon_ring_spilled_total",
    "Records meant for a ring that another one took.",
    byRing((ring) => ring.spilled),
  );
  text.counter("ebpfmon_ring_consumed_total", "Records read from a ring.", byRing((ring) => ring.consumed));
  text.gauge("ebpfmon_ring_fill_ratio", "Share of a ring in use.", byRing((ring) => ring.fill));
  text.gauge("ebpfmon_ring_capacity_bytes", "Size of a ring.", byRing((ring) => ring.capacityBytes));

  text.counter(
    "ebpfmon_events_held_back_total",
    "Events that never went to a ring, by reason.",
    Object.entries({
      rate_limit: health.rateLimited,
      sampling: health.sampledOut,
      repeat: health.repeatsSuppressed,
      filter: health.filtered,
    }).map(([reason, value]) => ({ labels: { reason }, value })),
  );
}

function ringFields(counters: RingCounters): Record<string, unknown> {
  const { ring, submitted, dropped, failures, spilled, consumed, fill, capacityBytes } = counters;
  return {
    ring,
    submitted,
    dropped,
    failures,
    spilled,
    consumed,
    drop_rate: dropRate(counters),
    fill,
    capacity_bytes: capacityBytes,
  };
}

function heldBackFields(health: HealthReport): Record<string, bigint> {
  return {
    rate_limited: health.rateLimited,
    sampled_out: health.sampledOut,
    repeats_suppressed: health.repeatsSuppressed,
    filtered: health.filtered,
  };
}

function countsByEvent(counts: { event: EventType; count: bigint }[]): Record<string, bigint> {
  return Object.fromEntries(counts.map(({ event, count }) => [event, count]));
}
