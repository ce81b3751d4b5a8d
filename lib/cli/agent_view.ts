/** What `agent` says of its stream to a server. */
import type { AgentCounts } from "../fleet/agent/agent_metrics.ts";
import type { SpoolCounts } from "../fleet/agent/spool_stats.ts";

function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

function dropped(counts: SpoolCounts): number {
  return Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
}

function isBalanced(counts: SpoolCounts): boolean {
  return counts.appended + counts.recovered === counts.acknowledged + counts.spooled + dropped(counts);
}

function countsObject(counts: SpoolCounts): Record<string, unknown> {
  const { appended, recovered, acknowledged, spooled } = counts;
  return { appended, recovered, acknowledged, spooled, dropped: counts.dropped, balanced: isBalanced(counts) };
}

/** The counts of the stream as they stand in JSON. */
export function agentObject({ spool, link }: AgentCounts): Record<string, unknown> {
  return {
    server: link.server,
    batches: countsObject(spool.batches),
    events: countsObject(spool.events),
    sent_batches: link.sentBatches,
    sent_events: link.sentEvents,
    reconnects: link.reconnects,
    failures: link.failures,
    last_sent: link.lastSentUnixMs === null ? null : new Date(link.lastSentUnixMs).toISOString(),
    spool_memory_bytes: spool.memoryBytes,
    spool_disk_bytes: spool.diskBytes,
  };
}

/** What became of all batches or events, in one line. */
function equation(name: string, counts: SpoolCounts): string {
  const total = counts.appended + counts.recovered;
  const parts = `${formatCount(counts.acknowledged)} acknowledged + ${formatCount(counts.spooled)} spooled + ` +
    `${formatCount(dropped(counts))} dropped`;
  return `${name} ${formatCount(total)} = ${parts}${isBalanced(counts) ? "" : " (this does not add up)"}`;
}

/** The summary of a run for a reader. */
export function renderAgentSummary({ spool, link }: AgentCounts): string {
  return [
    equation("batches", spool.batches),
    equation("events ", spool.events),
    `sent    ${formatCount(link.sentBatches)} batches to ${link.server || "no server"}, ` +
    `${formatCount(link.reconnects)} reconnects, ${formatCount(link.failures)} failures`,
    "",
  ].join("\n");
}
