/** Snapshots in which nothing is absent, so that every metric there is stands on the page. */
import { addActivityWindow, emptyActivityTotals } from "../../lib/aggregate/activity/activity_totals.ts";
import { addWindow, emptyTotals } from "../../lib/aggregate/flows/totals.ts";
import type { IpfixCounts } from "../../lib/export/ipfix_exporter.ts";
import type { ActivitySnapshot } from "../../lib/export/process_activity_metrics.ts";
import type { HistoryCounts } from "../../lib/history/history.ts";
import { processRow, processWindow } from "./activity.ts";
import { addAgentMetrics, type AgentCounts } from "../../lib/fleet/agent/agent_metrics.ts";
import type { MetricsSnapshot } from "../../lib/export/metrics.ts";
import { bySeverity } from "../../lib/fleet/by_severity.ts";
import { EventTotals } from "../../lib/pipeline/event_totals.ts";
import { CorrelationEngine } from "../../lib/fleet/correlation/engine.ts";
import type { ServerSnapshot } from "../../lib/fleet/server/metrics.ts";
import { healthReport } from "./events.ts";
import { pipelineStats } from "./pipeline.ts";
import { flowWindow, metricsSnapshot, RETRANSMITS } from "./windows.ts";

const TRAFFIC = { packets: 1n, bytes: 100n };

const IPFIX_COUNTS: IpfixCounts = {
  messagesSent: 1,
  bytesSent: 2,
  flowsSent: 3,
  flowsDropped: 4,
  packetsDropped: 5n,
  octetsDropped: 6n,
  failures: 7,
  queuedBytes: 8,
  connected: true,
};

const HISTORY_COUNTS: HistoryCounts = {
  windowsStored: 1,
  rowsStored: 2,
  windowsDropped: 3,
  rowsDropped: 4,
  windowsEvicted: 5,
  sizeBytes: 4096,
  lastBatchSeconds: 0.0025,
};

const spooled = () => ({ appended: 10, recovered: 1, acknowledged: 5, dropped: bySeverity(1), spooled: 1 });

function agentCounts(): AgentCounts {
  return {
    spool: { batches: spooled(), events: spooled(), memoryBytes: 100, diskBytes: 200, diskFailed: false },
    link: {
      connected: true,
      server: "192.0.2.1:9465",
      sentBatches: 6,
      sentEvents: 60,
      reconnects: 1,
      failures: 2,
      lastSentUnixMs: 1_700_000_000_500,
      inFlightBytes: 10,
      windowBytes: 1000,
      congested: false,
      lastError: null,
    },
    debugSampling: 4,
  };
}

/** @param options `debugSampling`: one debug event in this many is sent; null where none is */
export function fullMetricsSnapshot({ debugSampling = 4 }: { debugSampling?: number | null } = {}): MetricsSnapshot {
  const events = new EventTotals();
  events.follow({
    stats: () =>
      pipelineStats({ eventCounts: [{ event: "process_exec", severity: "info", records: 3, estimated: 4 }] }),
  });
  events.addHealth(healthReport({ droppedByType: [{ event: "file_open", count: 2n }] }));
  const window = flowWindow({ retransmits: RETRANSMITS });
  const totals = emptyTotals();
  addWindow(totals, window);
  return metricsSnapshot({
    totals,
    lastWindow: window,
    events,
    ipfix: IPFIX_COUNTS,
    history: HISTORY_COUNTS,
    attribution: { attributed: TRAFFIC, unattributed: TRAFFIC, unasked: TRAFFIC },
    activity: activitySnapshot(),
    addFamilies: (text) => addAgentMetrics(text, { ...agentCounts(), debugSampling }),
  });
}

function activitySnapshot(): ActivitySnapshot {
  const { pid, startedNs, comm, totalNs } = processRow();
  const process = { pid, startedNs, comm, calls: 60n, errors: 6n, totalNs, bytesIn: 4_000n, bytesOut: 70_000n };
  const lastWindow = processWindow({ totals: [process] });
  const totals = emptyActivityTotals();
  addActivityWindow(totals, lastWindow);
  return { totals, lastWindow };
}

export function fullServerSnapshot(): ServerSnapshot {
  return {
    build: { version: "1.2.3" },
    process: { residentMemoryBytes: 1_000_000, startTimeSeconds: 1_700_000_000.5, cpuSeconds: 0.25 },
    server: {
      agentsConnected: 1,
      streams: 2,
      refused: { unauthenticated: 3, limit: 4, draining: 5 },
      agents: [{
        agent: "a",
        host: "h",
        version: "1",
        address: "192.0.2.1:1",
        connected: true,
        connects: 1,
        batches: 2,
        events: 20,
        bytes: 2000,
        duplicates: 1,
        throttledMs: 1500,
        lastSeenUnixMs: 1_700_000_000_000,
      }],
    },
    store: {
      commits: 1,
      commitSeconds: 0.5,
      batches: 2,
      events: 20,
      duplicates: 1,
      evictedBatches: 1,
      evictedUnread: 0,
      sizeBytes: 4096,
    },
    correlation: {
      partitions: [{ partition: 0, position: 7, stats: new CorrelationEngine([], () => {}).stats() }],
      unknown: 1,
      lagBatches: 2,
      groups: { recorded: 3, repeated: 1 },
    },
    traces: {
      taken: 10,
      exported: 5,
      rejected: 1,
      failed: 1,
      dropped: 1,
      waiting: 2,
      retries: 1,
      requests: 3,
      duplicates: 0,
    },
    nats: {
      connected: true,
      publishedMessages: 5,
      duplicateMessages: 1,
      publishFailures: 0,
      partitions: 4,
      pendingMessages: 2,
    },
  };
}
