/** Reassigns the events of a node that was given up to other nodes: those in its channels first, then those to come. */
import { MAIN_WORKER, type OutgoingRecord, type Sender } from "./channel/channel.ts";
import { EventBatch } from "../events/event_batch.ts";
import { bucketOf, HOLD, moveBuckets } from "./channel/fan_out.ts";
import { batchBytesOf, openChannel } from "./channel/open_channel.ts";
import { LANES } from "./channel/lanes.ts";
import type { NodePlan } from "./pipeline_messages.ts";

/** How long the node that fans out may take to see that a bucket is on hold: it ends its batch first. */
const HOLD_MS = 300;
/** How often to look for room. */
const LOOK_MS = 20;

/** A node, and the number of the output of the node before it that leads there. */
export interface Destination {
  plan: NodePlan;
  output: number;
}

/**
 * Moves the events of one node's channels to other nodes, and changes the fan-out so that later events go there. The
 * order of a process's events is kept: its bucket is on hold meanwhile. The caller makes sure that the worker of `from`
 * has ended, and that no two reassignments run at a time.
 *
 * @param others the nodes that take over
 * @param cancelled asked while a channel has no room: true ends the move and leaves the remaining events where they are
 * @throws {RangeError} when `others` is empty
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
  // With `round_robin` an event of any bucket may be in these channels, so every bucket needs a node that takes events.
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

/** Sends one record, and waits for room as long as it takes. @returns false when that was cancelled */
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
