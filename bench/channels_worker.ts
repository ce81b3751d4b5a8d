/// <reference lib="deno.worker" />
/** One end of the channel that bench/channels.ts measures. */
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { QueueChannel, type QueueChannelDescription } from "../lib/pipeline/channel/queue_channel.ts";
import type { Channel } from "../lib/pipeline/channel/channel.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { SharedChannel, type SharedChannelDescription } from "../lib/pipeline/channel/shared_channel.ts";

export interface ChannelBenchRequest {
  role: "send" | "receive";
  description: SharedChannelDescription | QueueChannelDescription;
  lengthBytes: number;
  records: number;
  batchBytes: number;
  libraryDir: string;
  /** Its first word counts the ends that are open. */
  ready: Int32Array<SharedArrayBuffer>;
  /** Its first word becomes 1. */
  start: Int32Array<SharedArrayBuffer>;
}

const WAIT_MS = 100;
/** How many records a sender appends before it flushes. */
const FLUSH_RECORDS = 1_024;

async function send(channel: Channel, { lengthBytes, records }: ChannelBenchRequest): Promise<void> {
  using sender = channel.openSender(0);
  const data = new Uint8Array(lengthBytes + 7 & ~7);
  const record = { data, offset: 0, lengthBytes, ring: 0, category: 1, priority: 2 as const, process: null };
  for (let sent = 0; sent < records; sent++) {
    while (!sender.append(record)) {
      sender.flush();
      await sender.waitWritable(WAIT_MS);
    }
    if (sent % FLUSH_RECORDS === 0) sender.flush();
  }
  sender.flush();
}

async function receive(channel: Channel, { records, batchBytes }: ChannelBenchRequest): Promise<void> {
  using receiver = channel.openReceiver(1);
  const batch = new EventBatch(batchBytes);
  for (let received = 0; received < records;) {
    if (!receiver.receive(batch)) {
      await receiver.waitReadable(WAIT_MS);
      continue;
    }
    for (let i = 0; i < batch.count; i++) received += batch.pid(i) === 0 ? 1 : 0;
    receiver.commit();
  }
}

self.onmessage = async ({ data: request }: MessageEvent<ChannelBenchRequest>) => {
  using stack = new DisposableStack();
  const { description } = request;
  const channel = description.kind === "shared"
    ? new SharedChannel(description)
    : new QueueChannel(stack.use(openLibbpf({ embeddedDir: request.libraryDir })), description);
  Atomics.add(request.ready, 0, 1);
  Atomics.wait(request.start, 0, 0);
  await (request.role === "send" ? send : receive)(channel, request);
  self.postMessage("done");
};
