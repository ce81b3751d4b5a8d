/** The metrics of a run, as Prometheus scrapes them. */

import type { FlowWindow, ProgramStats } from "../aggregate/windows/flow_window.ts";
import { RETRANSMIT_COUNTS } from "../aggregate/windows/retransmit_counts.ts";
import { OTHER_CLASSES } from "../wire/traffic.ts";
import type { AttributionTotals } from "../aggregate/activity/activity_totals.ts";
import type { RetransmitTotals, Totals, TrafficTotal } from "../aggregate/flows/totals.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { addEventMetrics } from "./event_json.ts";
import { addHistoryMetrics } from "./history_metrics.ts";
import type { HistoryCounts } from "../history/history.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import type { IpfixCounts } from "./ipfix_exporter.ts";
import { addIpfixMetrics } from "./ipfix_metrics.ts";
import { type ActivitySnapshot, addActivityMetrics, addAttributionMetrics } from "./process_activity_metrics.ts";
import { addProcessMetrics, type BuildLabels, type ProcessSnapshot } from "./process_metrics.ts";
import { PrometheusText, type Sample } from "../metrics/prometheus.ts";

export interface MetricsSnapshot {
  build: BuildLabels;
  totals: Totals;
  lastWindow: FlowWindow | null;
  swapSeconds: Histogram;
  drainSeconds: Histogram;
  /** null: events are not watched. */
  events: EventTotals | null;
  /** Adds the families of what runs beside the flows, such as an agent's link to its server. */
  addFamilies?: (text: PrometheusText) => void;
  /** Of the export of flows; absent where there is none. */
  ipfix?: IpfixCounts;
  /** Of the store; absent where there is none. */
  history?: HistoryCounts;
  /** Of flows' owners; absent where they are not looked for. */
  attribution?: AttributionTotals;
  /** Of system calls; absent where they are not counted. */
  activity?: ActivitySnapshot;
  /** Empty where the kernel keeps no statistics. */
  programs: ProgramStats[];
  process: ProcessSnapshot;
}

/** The page of `/metrics`. */
export function renderMetrics(snapshot: MetricsSnapshot): string {
  const { totals, lastWindow, programs, process } = snapshot;
  const text = new PrometheusText();
  addProcessMetrics(text, snapshot.build, process);

  text.counter("ebpfmon_seen_packets_total", "Packets seen.", seenSamples(totals, "packets"));
  text.counter("ebpfmon_seen_bytes_total", "Bytes of the packets seen, from layer 2 on.", seenSamples(totals, "bytes"));
  text.counter(
    "ebpfmon_packets_total",
    "Packets by what became of them; the classes add up to the packets seen.",
    classSamples(totals, "packets"),
  );
  text.counter(
    "ebpfmon_bytes_total",
    "Bytes by what became of them; the classes add up to the bytes seen.",
    classSamples(totals, "bytes"),
  );

  text.gauge("ebpfmon_flows", "Flows in the last window.", [{ value: lastWindow?.flows ?? 0 }]);
  text.gauge("ebpfmon_flow_map_entries", "Entries drained from the flow maps at the last window's end.", [
    { value: lastWindow?.flows ?? 0 },
  ]);
  text.gauge(
    "ebpfmon_flow_map_capacity",
    "Entries that the flow maps can hold, IPv4 and IPv6 together.",
    lastWindow === null ? [] : [{ value: lastWindow.capacity }],
  );
  text.counter("ebpfmon_flow_overflow_packets_total", "Packets whose flow found no room in the flow maps.", [
    { value: totals.overflow.packets },
  ]);
  text.gauge(
    "ebpfmon_flow_overflow_prefixes",
    "Source networks that packets without room for their flow came from, in the last window.",
    [{ value: lastWindow?.overflow?.prefixCount ?? 0 }],
  );
  text.gauge(
    "ebpfmon_flow_overflow_rest_packets",
    "Packets of the last window whose source network found no room either.",
    [{ value: lastWindow?.overflow?.rest.packets ?? 0 }],
  );
  if (totals.retransmits !== undefined) addRetransmitMetrics(text, totals.retransmits);
  text.counter("ebpfmon_windows_total", "Windows completed.", [{ value: totals.windows }]);
  text.histogram("ebpfmon_window_swap_seconds", "Time to put the spare flow maps in place.", snapshot.swapSeconds);
  text.histogram("ebpfmon_window_drain_seconds", "Time to read and rank the old flow maps.", snapshot.drainSeconds);

  text.counter(
    "ebpfmon_bpf_program_run_seconds_total",
    "Time spent in a BPF program.",
    programs.map(({ program, runNs }) => ({ labels: { program }, value: Number(runNs) / 1e9 })),
  );
  text.counter(
    "ebpfmon_bpf_program_runs_total",
    "Runs of a BPF program.",
    programs.map(({ program, runs }) => ({ labels: { program }, value: runs })),
  );
  if (snapshot.ipfix !== undefined) addIpfixMetrics(text, snapshot.ipfix);
  if (snapshot.history !== undefined) addHistoryMetrics(text, snapshot.history);
  snapshot.addFamilies?.(text);
  if (snapshot.attribution !== undefined) addAttributionMetrics(text, snapshot.attribution);
  if (snapshot.activity !== undefined) addActivityMetrics(text, snapshot.activity);
  if (snapshot.events !== null) addEventMetrics(text, snapshot.events);
  return text.toString();
}

function addRetransmitMetrics(text: PrometheusText, retransmits: RetransmitTotals): void {
  for (const [family, counts] of Map.groupBy(RETRANSMIT_COUNTS, ([, { metric }]) => metric)) {
    if (family === null) continue;
    const labels = (name: string) => counts.length > 1 ? { labels: { class: name } } : {};
    text.counter(family.name, family.help, counts.map(([name]) => ({ ...labels(name), value: retransmits[name] })));
  }
}

function seenSamples(totals: Totals, unit: keyof TrafficTotal): Sample[] {
  return totals.interfaces.map(({ iface, direction, seen }) => ({ labels: { iface, direction }, value: seen[unit] }));
}

function classSamples(totals: Totals, unit: keyof TrafficTotal): Sample[] {
  return totals.interfaces.flatMap(({ iface, direction, flows, overflow, other }) => [
    { labels: { iface, direction, class: "flow" }, value: flows[unit] },
    { labels: { iface, direction, class: "overflow" }, value: overflow[unit] },
    ...OTHER_CLASSES.map((otherClass) => ({
      labels: { iface, direction, class: otherClass },
      value: other[otherClass][unit],
    })),
  ]);
}
