/// <reference lib="deno.worker" />
/** A sender or receiver of a channel in a worker of its own, for channel_suite.ts. */
import { EVENT } from "../../lib/wire/layouts.gen.ts";
import { QueueChannel, type QueueChannelDescription } from "../../lib/pipeline/channel/queue_channel.ts";
import type { Channel } from "../../lib/pipeline/channel/channel.ts";
import { EventBatch } from "../../lib/events/event_batch.ts";
import { SharedChannel, type SharedChannelDescription } from "../../lib/pipeline/channel/shared_channel.ts";
import { openSystemLibbpf } from "./bpf.ts";

export interface ChannelWorkerRequest {
  role: "send" | "receive";
  channel: SharedChannelDescription | QueueChannelDescription;
  batchBytes: number;
  worker: number;
  recordsEach: number;
  /** Its first word is 1 once all is sent. */
  stop: Int32Array<SharedArrayBuffer>;
}

export interface ChannelWorkerReport {
  records: number;
  /** Of the sequences. */
  sum: number;
  wrong: string[];
}

const RECORD_BYTES = 136;
const WAIT_MS = 50;

async function send(channel: Channel, { worker, recordsEach }: ChannelWorkerRequest): Promise<ChannelWorkerReport> {
  using sender = channel.openSender(worker);
  const data = new Uint8Array(RECORD_BYTES);
  const view = new DataView(data.buffer);
  view.setUint32(EVENT.fields.pid.offset, worker, true);
  for (let sequence = 0; sequence < recordsEach; sequence++) {
    view.setUint32(EVENT.fields.uid.offset, sequence, true);
    view.setUint32(RECORD_BYTES - 4, ~sequence, true);
    const record = { data, offset: 0, lengthBytes: RECORD_BYTES, ring: 0, category: 0, priority: 0, process: null };
    while (!sender.append(record)) {
      sender.flush();
      await sender.waitWritable(WAIT_MS);
    }
    if (sequence % 100 === worker) sender.flush();
  }
  sender.flush();
  return { records: recordsEach, sum: 0, wrong: [] };
}

async function receive(channel: Channel, request: ChannelWorkerRequest): Promise<ChannelWorkerReport> {
  using receiver = channel.openReceiver(request.worker);
  const batch = new EventBatch(request.batchBytes);
  const report: ChannelWorkerReport = { records: 0, sum: 0, wrong: [] };
  const last = new Map<number, number>();
  for (;;) {
    const stopping = Atomics.load(request.stop, 0) === 1;
    if (!receiver.receive(batch)) {
      if (stopping) return report;
      await receiver.waitReadable(WAIT_MS);
      continue;
    }
    for (let i = 0; i < batch.count; i++) {
      const [sender, sequence] = [batch.pid(i), batch.uid(i)];
      const inverse = batch.data.getUint32(batch.offsets[i] + RECORD_BYTES - 4, true);
      if (inverse !== ~sequence >>> 0) report.wrong.push(`${sender} ${sequence} is torn: ${inverse}`);
      if (sequence <= (last.get(sender) ?? -1)) report.wrong.push(`${sender} ${sequence} after ${last.get(sender)}`);
      last.set(sender, sequence);
      report.sum += sequence;
    }
    report.records += batch.count;
    receiver.commit();
  }
}

self.onmessage = async ({ data: request }: MessageEvent<ChannelWorkerRequest>) => {
  using stack = new DisposableStack();
  const { channel: description } = request;
  const channel = description.kind === "shared"
    ? new SharedChannel(description)
    : new QueueChannel(stack.use(openSystemLibbpf()), description);
  const report = request.role === "send" ? await send(channel, request) : await receive(channel, request);
  self.postMessage(report);
};
