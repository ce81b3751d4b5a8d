/** Gives the work of a node that was given up to others which do the same: first what has been sent, then what is to come. */
import { MAIN_WORKER, type OutgoingRecord, type Sender } from "./channel/channel.ts";
import { EventBatch } from "../events/event_batch.ts";
import { bucketOf, HOLD, moveBuckets } from "./channel/fan_out.ts";
import { batchBytesOf, openChannel } from "./channel/open_channel.ts";
import { LANES } from "./channel/lanes.ts";
import type { NodePlan } from "./pipeline_messages.ts";

/** Until whoever fans out has seen that a bucket is held, or has ended its batch. */
const HOLD_MS = 300;
/** How often to look for room. */
const LOOK_MS = 20;

/** A node, and which output of the one before it leads there. */
export interface Destination {
  plan: NodePlan;
  output: number;
}

/**
 * Nothing is moved twice at a time, and the node's worker has ended.
 *
 * @param others those that still take events
 * @param cancelled asked where there is no room: true leaves the rest where it is
 * @throws {RangeError} when there are no others
 */
export async function reassignEvents(
  from: Destination,
  others: readonly Destination[],
  cancelled: () => boolean,
): Promise<void> {
  const { fanOut } = from.plan;
  const outputs = new Map(others.map(({ output, plan }) => [output, plan]));
  if (outputs.size === 0) throw new RangeError("Cannot hand events over: no worker is left");
  moveBuckets(fanOut, from.output, [HOLD]);
  await new Promise((resolve) => setTimeout(resolve, HOLD_MS));
  // Besides what is held, what leads to one that takes no more: with events in turn, any bucket may come from here.
  const assigned = fanOut.slice();
  for (const output of new Set(fanOut)) if (!outputs.has(output)) moveBuckets(assigned, output, [...outputs.keys()]);
  using stack = new DisposableStack();
  const batch = new EventBatch(batchBytesOf(from.plan.input));
  for (const lane of LANES) {
    const receiver = stack.use(openChannel(from.plan.input[lane]).openReceiver(from.plan.worker));
    const senders = new Map<number, Sender>();
    for (const [output, { input }] of outputs) {
      senders.set(output, stack.use(openChannel(input[lane]).openSender(MAIN_WORKER)));
    }
    while (receiver.receive(batch)) {
      let moved = 0;
      while (moved < batch.count) {
        const sender = senders.get(assigned[bucketOf(batch.pid(moved))])!;
        if (!await sendWhole(sender, recordOf(batch, moved), cancelled)) break;
        moved++;
      }
      for (const sender of senders.values()) sender.flush();
      receiver.commit(moved);
      if (moved < batch.count) return;
    }
  }
  assigned.forEach((output, bucket) => Atomics.store(fanOut, bucket, output));
}

/** Sends one record, however long it takes until there is room. @returns false when that was cancelled */
async function sendWhole(sender: Sender, record: OutgoingRecord, cancelled: () => boolean): Promise<boolean> {
  while (!sender.append(record)) {
    if (cancelled()) return false;
    sender.flush();
    await sender.waitWritable(LOOK_MS);
  }
  return true;
}

function recordOf(batch: EventBatch, i: number): OutgoingRecord {
  return {
    data: batch.bytes,
    offset: batch.offsets[i],
    lengthBytes: batch.lengths[i],
    ring: batch.ring[i],
    category: batch.category[i],
    priority: batch.priority[i],
    process: batch.process[i],
  };
}
