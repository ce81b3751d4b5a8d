/** What the correlation engine takes, made of a batch as it was received. */
import { decodeEvent } from "../event_codec.ts";
import { decodeFlow } from "../window_codec.ts";
import { recordNumber } from "../sequences.ts";
import type { FleetRecord } from "./correlated_group.ts";
import type { ReceivedBatch } from "../received_batch.ts";

/**
 * Every event and every flow of a batch, with times since the epoch, numbered so that what comes again has the same
 * number.
 *
 * @returns also how many there were that this version does not understand
 */
export function fleetRecords(
  batch: Pick<ReceivedBatch, "agent" | "severity" | "sequence" | "content">,
): { records: FleetRecord[]; unknown: number } {
  const { agent, severity, sequence, content } = batch;
  const { bootUnixNs } = content;
  const records: FleetRecord[] = [];
  let index = 0;
  for (const message of content.events) {
    const number = recordNumber(severity, sequence, index++);
    const decoded = decodeEvent(message);
    if (decoded === null) continue;
    const { event, enrichment } = decoded;
    records.push({
      agent,
      sequence: number,
      unixNs: bootUnixNs + event.tsNs,
      event,
      ...(enrichment ? { enrichment } : {}),
    });
  }
  for (const window of content.windows) {
    for (const message of window.top) {
      const number = recordNumber(severity, sequence, index++);
      const flow = decodeFlow(message);
      if (flow === null) continue;
      const startUnixNs = window.endUnixNs - (window.endNs - window.startNs);
      records.push({ agent, sequence: number, startUnixNs, endUnixNs: window.endUnixNs, bootUnixNs, flow });
    }
  }
  return { records, unknown: index - records.length };
}
