/// <reference lib="deno.worker" />
/** One end of the channel that bench/channels.ts measures. */
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { QueueChannel, type QueueChannelDescription } from "../lib/pipeline/channel/queue_channel.ts";
import type { Channel } from "../lib/pipeline/channel/channel.ts";
import { EVENT } from "../lib/wire/layouts.gen.ts";
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

export interface ChannelBenchResult {
  /** Records that this end sent or received. */
  records: number;
  /** Sum of the numbers in them: each holds its own. */
  sum: number;
}

const WAIT_MS = 100;
/** How many records a sender appends before it flushes. */
const FLUSH_RECORDS = 1_024;
const PID_AT = EVENT.fields.pid.offset;
/** Records hold numbers below this in the place of a pid. */
const NUMBERS = 1_000;

async function send(channel: Channel, { lengthBytes, records }: ChannelBenchRequest): Promise<ChannelBenchResult> {
  using sender = channel.openSender(0);
  const data = new Uint8Array(lengthBytes + 7 & ~7);
  const numbers = new Uint32Array(data.buffer);
  const record = { data, offset: 0, lengthBytes, ring: 0, category: 1, priority: 2 as const, process: null };
  let sum = 0;
  for (let sent = 0; sent < records; sent++) {
    numbers[PID_AT / 4] = sent % NUMBERS;
    sum += sent % NUMBERS;
    while (!sender.append(record)) {
      sender.flush();
      await sender.waitWritable(WAIT_MS);
    }
    if (sent % FLUSH_RECORDS === 0) sender.flush();
  }
  sender.flush();
  return { records, sum };
}

async function receive(channel: Channel, { records, batchBytes }: ChannelBenchRequest): Promise<ChannelBenchResult> {
  using receiver = channel.openReceiver(1);
  const batch = new EventBatch(batchBytes);
  let received = 0;
  let sum = 0;
  while (received < records) {
    if (!receiver.receive(batch)) {
      await receiver.waitReadable(WAIT_MS);
      continue;
    }
    for (let i = 0; i < batch.count; i++) sum += batch.pid(i);
    received += batch.count;
    receiver.commit();
  }
  return { records: received, sum };
}

self.onmessage = async ({ data: request }: MessageEvent<ChannelBenchRequest>) => {
  using stack = new DisposableStack();
  const { description } = request;
  const channel = description.kind === "shared"
    ? new SharedChannel(description)
    : new QueueChannel(stack.use(openLibbpf({ embeddedDir: request.libraryDir })), description);
  Atomics.add(request.ready, 0, 1);
  Atomics.wait(request.start, 0, 0);
  self.postMessage(await (request.role === "send" ? send : receive)(channel, request));
};
