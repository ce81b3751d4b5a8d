/**
 * Who works on which partition. A lease is a message that expires unless its holder renews it, and that only its holder
 * can renew: each write names the sequence that it replaces. JetStream decides, the workers only ask. Each takes its even
 * share, by how many workers there are.
 */
import { LEASE_MS, type NatsLink } from "./connection.ts";
import { LEASE_STREAM, LEASE_SUBJECT } from "./streams.ts";
import { delay } from "../../../runtime/timers.ts";

export interface LeaseHandlers {
  acquired(partition: number): void;
  /** Somebody else may have it: whatever goes on with it has to end at once. */
  lost(partition: number): void;
  /** Somebody else should have it: resolves when nothing goes on with it. */
  release(partition: number): Promise<void>;
}

const TICK_MS = 1000;
/** Before it expires for the others. */
const LOST_MS = LEASE_MS * 0.7;

interface Lease {
  /** Of the message that stands for it. */
  sequence: number;
  renewedMs: number;
  releasing: boolean;
}

const PARTITION_SUBJECT = `${LEASE_SUBJECT}.partition`;
const WORKER_SUBJECT = `${LEASE_SUBJECT}.worker`;

export class Leases {
  readonly #link: NatsLink;
  readonly #partitions: number;
  readonly #worker: string;
  readonly #handlers: LeaseHandlers;
  readonly #held = new Map<number, Lease>();

  /** @param worker a name that no other worker has */
  constructor(link: NatsLink, options: { partitions: number; worker: string }, handlers: LeaseHandlers) {
    this.#link = link;
    this.#partitions = options.partitions;
    this.#worker = options.worker;
    this.#handlers = handlers;
  }

  get held(): number {
    return this.#held.size;
  }

  /** Holds its share until `signal`, and gives it back. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startMs = performance.now();
      await this.#tick().catch(() => {});
      this.#dropExpired();
      const restMs = Math.max(50, TICK_MS - (performance.now() - startMs));
      await delay(restMs, { signal });
    }
    await Promise.all([...this.#held.keys()].map((partition) => this.#release(partition)));
    await this.#remove(`${WORKER_SUBJECT}.${this.#worker}`);
  }

  async #tick(): Promise<void> {
    await Promise.all([...this.#held].map(([partition, lease]) => this.#renew(partition, lease)));
    await this.#link.publish(`${WORKER_SUBJECT}.${this.#worker}`, "");
    const { state } = await this.#link.manager.streams.info(LEASE_STREAM, { subjects_filter: `${LEASE_SUBJECT}.>` });
    const subjects = Object.keys(state.subjects ?? {});
    const workers = subjects.filter((subject) => subject.startsWith(`${WORKER_SUBJECT}.`)).length;
    const share = Math.ceil(this.#partitions / Math.max(1, workers));
    const free = Array.from({ length: this.#partitions }, (_, partition) => partition)
      .filter((partition) => !this.#held.has(partition) && !subjects.includes(subjectOf(partition)))
      .sort(() => Math.random() - 0.5);
    for (const partition of free) {
      if (this.#held.size >= share) break;
      await this.#acquire(partition);
    }
    const excess = [...this.#held].filter(([, { releasing }]) => !releasing).slice(share).map(([partition]) =>
      partition
    );
    for (const partition of excess) void this.#release(partition);
  }

  async #acquire(partition: number): Promise<void> {
    const renewedMs = performance.now();
    const sequence = await this.#write(partition, 0);
    if (sequence === null) return;
    this.#held.set(partition, { sequence, renewedMs, releasing: false });
    this.#handlers.acquired(partition);
  }

  async #renew(partition: number, lease: Lease): Promise<void> {
    const renewedMs = performance.now();
    const sequence = await this.#write(partition, lease.sequence).catch(() => undefined);
    // No answer: it may have been written or not, and the next try says.
    if (sequence === undefined || this.#held.get(partition) !== lease) return;
    if (sequence === null) return this.#lose(partition);
    lease.sequence = sequence;
    lease.renewedMs = renewedMs;
  }

  #dropExpired(): void {
    for (const [partition, { renewedMs }] of this.#held) {
      if (performance.now() - renewedMs > LOST_MS) this.#lose(partition);
    }
  }

  #lose(partition: number): void {
    if (this.#held.delete(partition)) this.#handlers.lost(partition);
  }

  async #release(partition: number): Promise<void> {
    const lease = this.#held.get(partition);
    if (lease === undefined || lease.releasing) return;
    lease.releasing = true;
    await this.#handlers.release(partition);
    if (this.#held.delete(partition)) await this.#remove(subjectOf(partition));
  }

  /** @returns the new sequence; null when another one stands there @throws without an answer */
  async #write(partition: number, expected: number): Promise<number | null> {
    try {
      const { seq } = await this.#link.publish(subjectOf(partition), this.#worker, {
        expect: { lastSubjectSequence: expected },
        timeout: TICK_MS,
        retries: 1,
      });
      return seq;
    } catch (error) {
      if (error instanceof Error && error.name === "JetStreamApiError") return null;
      throw error;
    }
  }

  async #remove(subject: string): Promise<void> {
    // What is not removed expires.
    await this.#link.manager.streams.purge(LEASE_STREAM, { filter: subject }).catch(() => {});
  }
}

function subjectOf(partition: number): string {
  return `${PARTITION_SUBJECT}.${partition}`;
}
