/**
 * A channel that is a BPF queue map. Each element holds one record and costs a system call, as the kernel has no batch
 * operations for queues. Counters and doorbells are in memory that the workers share.
 *
 * Popping removes an element, so records that a worker had received when it died are lost, and counted as such. When it
 * dies within the system call that pops or pushes, that one record may be missing from the counts, or be counted twice.
 */
import {
  type Channel,
  type ChannelStats,
  checkWorker,
  ENVELOPE_MAX_BYTES,
  type OutgoingRecord,
  type OverflowPolicy,
  type Receiver,
  type Sender,
  WORKERS_MAX,
} from "./channel.ts";
import { Doorbell } from "./doorbell.ts";
import { addEvent, type DecodeProcess, envelopeLengthOf, EnvelopeWriter, refuseProcess } from "./envelope.ts";
import type { EventBatch } from "../../events/event_batch.ts";
import { BpfMap, MapType } from "../../ffi/bpf_map.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";

/** What a worker of this process needs to open the channel. It can be posted to workers. */
export interface QueueChannelDescription {
  kind: "queue";
  /** File descriptor of the queue map, open as long as the channel is used. */
  mapFd: number;
  memory: SharedArrayBuffer;
  recordsMax: number;
  policy: OverflowPolicy;
  name: string;
}

export interface QueueChannelOptions {
  name: string;
  policy: OverflowPolicy;
  recordsMax: number;
}

const LINE_BYTES = 64;
const READABLE_WORD = 0;
const WRITABLE_WORD = LINE_BYTES / 4;
const ROWS_AT = 2 * LINE_BYTES;

/** Doubles of a worker's row, written by that worker alone; each only grows. */
const PUSHED = 0, REFUSED = 1, EVICTED = 2, POPPED = 3, COMMITTED = 4, LOST = 5;
const ROW_DOUBLES = LINE_BYTES / 8;

/** A queue and its counters, as the ends of one thread see them. */
class Queue {
  readonly readable: Doorbell;
  readonly writable: Doorbell;
  readonly map: BpfMap;
  readonly #rows: Float64Array<SharedArrayBuffer>;
  readonly #recordsMax: number;

  constructor(map: BpfMap, { memory, recordsMax }: QueueChannelDescription) {
    const words = new Int32Array(memory);
    this.readable = new Doorbell(words, READABLE_WORD);
    this.writable = new Doorbell(words, WRITABLE_WORD);
    this.map = map;
    this.#rows = new Float64Array(memory, ROWS_AT);
    this.#recordsMax = recordsMax;
  }

  counter(worker: number, counter: number): number {
    return this.#rows[worker * ROW_DOUBLES + counter];
  }

  add(worker: number, counter: number, records: number): void {
    this.#rows[worker * ROW_DOUBLES + counter] += records;
  }

  uncommitted(worker: number): number {
    return this.counter(worker, POPPED) - this.counter(worker, COMMITTED) - this.counter(worker, LOST);
  }

  get stats(): ChannelStats {
    const sums = new Array<number>(ROW_DOUBLES).fill(0);
    this.#rows.forEach((value, i) => sums[i % ROW_DOUBLES] += value);
    const sent = sums[PUSHED] + sums[REFUSED];
    const received = sums[COMMITTED];
    const dropped = sums[REFUSED] + sums[EVICTED] + sums[LOST];
    const queued = sums[PUSHED] - sums[EVICTED] - sums[POPPED];
    return { sent, received, dropped, inFlight: sent - received - dropped, fill: queued / this.#recordsMax };
  }
}

export class QueueChannel implements Channel, Disposable {
  readonly recoverable = false;
  readonly description: Readonly<QueueChannelDescription>;
  readonly #queue: Queue;
  readonly #decodeProcess: DecodeProcess;

  /**
   * Opens a channel that `create` made, here or in another worker.
   *
   * @param options.decodeProcess needed by receivers, where records carry a process
   */
  constructor(
    libbpf: Libbpf,
    description: QueueChannelDescription,
    options: { decodeProcess?: DecodeProcess; map?: BpfMap } = {},
  ) {
    const { mapFd, recordsMax, name } = description;
    this.description = description;
    this.#queue = new Queue(options.map ?? new BpfMap(libbpf, mapFd, mapSpec(name, recordsMax), false), description);
    this.#decodeProcess = options.decodeProcess ?? refuseProcess;
  }

  /** Makes the queue map. The channel returned owns it, and has to be disposed of last. @throws {SystemError} */
  static create(
    libbpf: Libbpf,
    options: QueueChannelOptions & { decodeProcess?: DecodeProcess },
  ): QueueChannel {
    const { name, policy, recordsMax, decodeProcess } = options;
    using stack = new DisposableStack();
    const map = stack.use(BpfMap.create(libbpf, mapSpec(name, recordsMax)));
    const memory = new SharedArrayBuffer(ROWS_AT + WORKERS_MAX * LINE_BYTES);
    const description = { kind: "queue" as const, mapFd: map.fd, memory, recordsMax, policy, name };
    const channel = new QueueChannel(libbpf, description, { decodeProcess, map });
    stack.move();
    return channel;
  }

  get name(): string {
    return this.description.name;
  }

  get policy(): OverflowPolicy {
    return this.description.policy;
  }

  openSender(worker: number): Sender {
    checkWorker(worker);
    return new QueueSender(this.#queue, worker, this.policy);
  }

  openReceiver(worker: number): Receiver {
    checkWorker(worker);
    return new QueueReceiver(this.#queue, worker, this.#decodeProcess);
  }

  /** Counts the records that a dead worker had received and not committed as dropped. @returns how many they are */
  recover(worker: number): number {
    const lost = this.#queue.uncommitted(worker);
    this.#queue.add(worker, LOST, lost);
    // The worker may have died before it rang.
    this.#queue.readable.ring();
    this.#queue.writable.ring();
    return lost;
  }

  uncommitted(worker: number): number {
    return this.#queue.uncommitted(worker);
  }

  get stats(): ChannelStats {
    return this.#queue.stats;
  }

  /** Closes the map if this is the channel that made it. */
  [Symbol.dispose](): void {
    this.#queue.map[Symbol.dispose]();
  }
}

function mapSpec(name: string, recordsMax: number) {
  return {
    name: name.slice(0, 15),
    type: MapType.queue,
    keyBytes: 0,
    valueBytes: ENVELOPE_MAX_BYTES,
    entriesMax: recordsMax,
  };
}

class QueueSender implements Sender {
  readonly #queue: Queue;
  readonly #worker: number;
  readonly #policy: OverflowPolicy;
  readonly #element = new Uint8Array(ENVELOPE_MAX_BYTES);
  readonly #evicted = new Uint8Array(ENVELOPE_MAX_BYTES);
  readonly #writer = new EnvelopeWriter(this.#element);
  /** Value of the doorbell before the last push, when that found the queue full. */
  #heard = NaN;
  #pushed = false;

  constructor(queue: Queue, worker: number, policy: OverflowPolicy) {
    this.#queue = queue;
    this.#worker = worker;
    this.#policy = policy;
  }

  append(record: OutgoingRecord): boolean {
    const queue = this.#queue;
    this.#heard = NaN;
    this.#writer.write(record, 0, envelopeLengthOf(record));
    const heard = queue.writable.value;
    while (!queue.map.push(this.#element)) {
      if (this.#policy === "block") {
        this.#heard = heard;
        return false;
      }
      if (this.#policy === "drop_newest") {
        queue.add(this.#worker, REFUSED, 1);
        return true;
      }
      // BPF_EXIST would replace the oldest, without saying whether it did: a receiver may have made room in between.
      if (queue.map.pop(this.#evicted)) queue.add(this.#worker, EVICTED, 1);
    }
    queue.add(this.#worker, PUSHED, 1);
    this.#pushed = true;
    return true;
  }

  flush(): void {
    if (!this.#pushed) return;
    this.#pushed = false;
    this.#queue.readable.ring();
  }

  async waitWritable(timeoutMs: number): Promise<boolean> {
    const { writable } = this.#queue;
    return this.#policy !== "block" || await writable.until(() => writable.value !== this.#heard, timeoutMs);
  }

  get stats(): ChannelStats {
    return this.#queue.stats;
  }

  /** Publishes what has been appended. */
  [Symbol.dispose](): void {
    this.flush();
  }
}

class QueueReceiver implements Receiver {
  readonly #queue: Queue;
  readonly #worker: number;
  readonly #decodeProcess: DecodeProcess;
  /** Records handed out and not committed. */
  #held = 0;
  #committed = 0;
  /** Value of the doorbell before the last batch was taken, when that emptied the queue. */
  #heard = NaN;

  constructor(queue: Queue, worker: number, decodeProcess: DecodeProcess) {
    this.#queue = queue;
    this.#worker = worker;
    this.#decodeProcess = decodeProcess;
  }

  receive(batch: EventBatch): boolean {
    if (this.#held > 0) throw new TypeError("Cannot receive: the last batch is not committed");
    const capacityBytes = batch.bytes.length;
    if (capacityBytes < ENVELOPE_MAX_BYTES) {
      throw new RangeError(`Cannot receive ${ENVELOPE_MAX_BYTES} bytes into a batch of ${capacityBytes}`);
    }
    batch.clear();
    batch.sentMs = performance.timeOrigin + performance.now();
    const queue = this.#queue;
    this.#heard = NaN;
    const heard = queue.readable.value;
    // The kernel fills a whole element each time; the next one overwrites what the record before left unused.
    while (batch.usedBytes + ENVELOPE_MAX_BYTES <= capacityBytes) {
      const element = batch.bytes.subarray(batch.usedBytes, batch.usedBytes + ENVELOPE_MAX_BYTES);
      if (!queue.map.pop(element)) {
        this.#heard = heard;
        break;
      }
      queue.add(this.#worker, POPPED, 1);
      batch.usedBytes = addEvent(batch, batch.usedBytes, this.#decodeProcess);
    }
    this.#held = batch.count;
    this.#committed = 0;
    if (batch.count > 0) queue.writable.ring();
    return batch.count > 0;
  }

  commit(events?: number): void {
    const done = Math.min(events ?? this.#held, this.#held);
    this.#queue.add(this.#worker, COMMITTED, done - this.#committed);
    this.#committed = done;
    if (done === this.#held) this.#held = 0;
  }

  async waitReadable(timeoutMs: number): Promise<boolean> {
    const { readable } = this.#queue;
    return await readable.until(() => readable.value !== this.#heard, timeoutMs);
  }

  get stats(): ChannelStats {
    return this.#queue.stats;
  }

  /** Records that are not committed are lost, and counted as dropped. */
  [Symbol.dispose](): void {
    if (this.#held > 0) this.#queue.add(this.#worker, LOST, this.#held - this.#committed);
    this.#held = 0;
  }
}
