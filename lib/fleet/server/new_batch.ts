/** Makes what the store keeps of a batch, whether an agent sent it or another log holds it. */
import { Batch } from "../proto/ebpfmon.gen.ts";
import { decodeAlert } from "../codec.ts";
import { decodeFlow } from "../window_codec.ts";
import type { BatchSource, ReceivedBatch } from "../received_batch.ts";
import type { MinuteFlow, NewBatch } from "./store_messages.ts";

const NS_PER_MINUTE = 60_000_000_000n;

export function newBatch(batch: ReceivedBatch): NewBatch {
  const { agent, spool, host, version, bootId, severity, sequence, events, content, receivedUnixMs } = batch;
  const source: BatchSource = { agent, spool, host, version, bootId };
  return {
    source,
    severity,
    sequence,
    events,
    receivedUnixMs,
    content: batch.encoded ?? encodeContent(content),
    flows: minuteFlows(content),
    alerts: content.alerts.map(decodeAlert),
  };
}

/** Encodes a batch for workers and for the log. */
export function encodeContent(content: Batch): Uint8Array<ArrayBuffer> {
  return Batch.encode(content).finish();
}

function minuteFlows({ windows }: Batch): MinuteFlow[] {
  return windows.flatMap((window) => {
    const minute = Number(window.endUnixNs / NS_PER_MINUTE);
    return window.top.flatMap((message) => {
      const flow = decodeFlow(message);
      if (flow === null) return [];
      const { iface, direction, src, dst, sport, dport, proto, packets, bytes } = flow;
      return [{ minute, iface, direction, src, dst, sport, dport, proto, packets, bytes }];
    });
  });
}
