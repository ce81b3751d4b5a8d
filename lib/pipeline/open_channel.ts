/** From a channel's description to its ends, whatever its kind: the one place that knows all kinds. */
import { type Libbpf, openLibbpf } from "../ffi/libbpf.ts";
import { QueueChannel, type QueueChannelDescription } from "../ffi/queue_channel.ts";
import { assetsDir } from "../worker_url.ts";
import type { Channel, OverflowPolicy, Sender } from "./channel.ts";
import { CommitJournal, type JournalDescription } from "./commit_journal.ts";
import { NODE_COUNTERS, type NodeEnds } from "./node.ts";
import { decodeProcess } from "./process_codec.ts";
import { type Lane, LANES, type Lanes, type NodePlan } from "./protocol.ts";
import { SharedChannel, type SharedChannelDescription } from "./shared_channel.ts";

/** What crosses to a worker that opens a channel. */
export type ChannelSpec = SharedChannelDescription | QueueChannelDescription;

/** Makes one channel of a pipeline. */
export type ChannelMaker = (name: string, lane: Lane, policy: OverflowPolicy) => ChannelSpec;

/** Bytes of a queue's batch: what a shared one has. */
const QUEUE_BATCH_BYTES = 32_768;

/** An urgent event mostly travels alone; bulk ones come by the hundred. */
const SLOTS: Record<Lane, { slots: number; slotBytes: number }> = {
  urgent: { slots: 128, slotBytes: 8_192 },
  bulk: { slots: 64, slotBytes: 32_768 },
};

/** Channels over shared memory: the default. */
export const makeSharedChannel: ChannelMaker = (name, lane, policy) =>
  SharedChannel.create({ name, policy, ...SLOTS[lane] });

/** Records that a queue holds: 16 MiB of the kernel's memory. */
const QUEUE_RECORDS_MAX = 8_192;

let libbpf: Libbpf | undefined;

/** One for all queues of this thread, open as long as the thread runs. */
function sharedLibbpf(): Libbpf {
  return libbpf ??= openLibbpf({ embeddedDir: `${assetsDir()}/lib` });
}

/** Channels that are BPF queue maps. @param stack closes them @throws {SystemError} */
export function queueChannelMaker(stack: DisposableStack): ChannelMaker {
  return (name, _lane, policy) =>
    stack.use(QueueChannel.create(sharedLibbpf(), { name, policy, recordsMax: QUEUE_RECORDS_MAX })).description;
}

/** Opens a channel in this worker. */
export function openChannel(spec: ChannelSpec): Channel {
  return spec.kind === "shared"
    ? new SharedChannel(spec, { decodeProcess })
    : new QueueChannel(sharedLibbpf(), spec, { decodeProcess });
}

/** The sending ends of a hop; `stack` gives them back. */
export function openSenders(stack: DisposableStack, lanes: Lanes, worker: number): Record<Lane, Sender> {
  const open = (lane: Lane) => stack.use(openChannel(lanes[lane]).openSender(worker));
  return { urgent: open("urgent"), bulk: open("bulk") };
}

/** Bytes of the largest batch that a hop hands out. */
export function batchBytesOf(lanes: Lanes): number {
  return Math.max(...LANES.map((lane) => {
    const spec = lanes[lane];
    return spec.kind === "shared" ? spec.slotBytes : QUEUE_BATCH_BYTES;
  }));
}

/** The channels of a node, in the order in which its journal has them. */
export function channelsOf({ input, outputs }: Pick<NodePlan, "input" | "outputs">) {
  const open = (lanes: Lanes) => LANES.map((lane) => openChannel(lanes[lane]));
  return { inputs: open(input), outputs: outputs.flatMap(open) };
}

/** A journal for a node that does not run yet. */
export function createJournal(worker: number, plan: Pick<NodePlan, "input" | "outputs">): JournalDescription {
  return CommitJournal.create({ worker, counters: NODE_COUNTERS.length, outputs: channelsOf(plan).outputs });
}

/** A node's own ends; `stack` gives them back. `counters` are where the worker before this one left off. */
export function openNode(
  stack: DisposableStack,
  { worker, input, outputs, journal }: NodePlan,
): { ends: Omit<NodeEnds, "fanOut">; counters: number[] } {
  const receiver = (lane: Lane) => stack.use(openChannel(input[lane]).openReceiver(worker));
  const sender = (lanes: Lanes) => (lane: Lane) => {
    const channel = openChannel(lanes[lane]);
    return stack.use(
      channel instanceof SharedChannel ? channel.openSender(worker, { staged: true }) : channel.openSender(worker),
    );
  };
  const receivers = { urgent: receiver("urgent"), bulk: receiver("bulk") };
  const senders = outputs.map((lanes) => {
    const open = sender(lanes);
    return { urgent: open("urgent"), bulk: open("bulk") };
  });
  const commitJournal = new CommitJournal(journal, {
    inputs: LANES.map((lane) => receivers[lane]),
    outputs: senders.flatMap((lanes) => LANES.map((lane) => lanes[lane])),
  });
  return {
    ends: {
      receivers,
      outputs: senders,
      commit: (lane, counters, events) => commitJournal.commit(counters, LANES.indexOf(lane), events),
    },
    counters: [...CommitJournal.counters(journal)],
  };
}
