/** Makes and opens channels of every kind. No other module knows which kinds there are. */
import { type ChannelSpec, type Lane, LANES, type Lanes } from "./lanes.ts";
import { type Libbpf, openLibbpf } from "../../ffi/libbpf.ts";
import { QueueChannel } from "./queue_channel.ts";
import { assetsDir } from "../../runtime/worker_url.ts";
import type { Channel, OverflowPolicy, Sender } from "./channel.ts";
import { decodeProcess } from "../../processes/process_codec.ts";
import { SharedChannel } from "./shared_channel.ts";

/** Makes one channel of a pipeline. */
export type ChannelMaker = (name: string, lane: Lane, policy: OverflowPolicy) => ChannelSpec;

/** Size of a batch from a queue: that of a shared channel's bulk lane. */
const QUEUE_BATCH_BYTES = 32_768;

/** Slots of shared channels. Urgent events mostly come one by one, bulk ones by the hundred. */
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

/** The libbpf that all queues of this thread share; it is open as long as the thread runs. */
function sharedLibbpf(): Libbpf {
  return libbpf ??= openLibbpf({ embeddedDir: `${assetsDir()}/lib` });
}

/** Makes channels that are BPF queue maps; making one throws a {SystemError}. @param stack closes the maps */
export function queueChannelMaker(stack: DisposableStack): ChannelMaker {
  return (name, _lane, policy) =>
    stack.use(QueueChannel.create(sharedLibbpf(), { name, policy, recordsMax: QUEUE_RECORDS_MAX })).description;
}

/** Opens a channel in this worker. @throws {UnsupportedError} for a queue, when libbpf cannot be opened */
export function openChannel(spec: ChannelSpec): Channel {
  return spec.kind === "shared"
    ? new SharedChannel(spec, { decodeProcess })
    : new QueueChannel(sharedLibbpf(), spec, { decodeProcess });
}

/** Opens the sending ends of a hop's lanes. @param stack disposes of them */
export function openSenders(stack: DisposableStack, lanes: Lanes, worker: number): Record<Lane, Sender> {
  const open = (lane: Lane) => stack.use(openChannel(lanes[lane]).openSender(worker));
  return { urgent: open("urgent"), bulk: open("bulk") };
}

/** Size of the largest batch that a hop hands out. */
export function batchBytesOf(lanes: Lanes): number {
  return Math.max(...LANES.map((lane) => {
    const spec = lanes[lane];
    return spec.kind === "shared" ? spec.slotBytes : QUEUE_BATCH_BYTES;
  }));
}
