/**
 * Reads a stream from a place on, in order, each message once. The place is the reader's business, not the consumer's: so
 * one copy of a consumer is enough, and one that falls silent, leaves a message out or is lost with its node is made anew,
 * under another name, behind the last message that was handled.
 */
import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { SaidOnce } from "../../said_once.ts";
import { type NatsLink, whyNot } from "./connection.ts";
import { delay } from "../../../runtime/timers.ts";

export interface StreamReaderOptions {
  stream: string;
  subject: string;
  /** What names of consumers begin with. */
  name: string;
  /** Sequence of the first message. */
  from: number;
  /**
   * Called in order; several may be under way.
   *
   * @param settled sequence up to which all is handled once this message is: where to go on after a restart
   */
  handle: (message: JsMsg, settled: number) => Promise<void>;
  notice: (text: string) => void;
  /** Without a sign of life for so long, a consumer counts as lost. */
  silentMs?: number;
}

const EXPIRES_MS = 5000;
const HEARTBEAT_MS = 1000;
const SILENT_MS = 3000;
const RETRY_MS = 250;
/** Nobody has asked for so long: the consumer's reader is gone. */
const INACTIVE_MS = 60_000;
const UNDER_WAY_MAX = 64;

export class StreamReader {
  readonly #link: NatsLink;
  readonly #options: StreamReaderOptions;
  readonly #notices: SaidOnce;
  #next: number;
  #pending = 0;
  /** Sequences of messages that are being handled, lowest first. */
  readonly #underWay = new Set<number>();
  #messages: ConsumerMessages | null = null;

  constructor(link: NatsLink, options: StreamReaderOptions) {
    this.#link = link;
    this.#options = options;
    this.#next = options.from;
    this.#notices = new SaidOnce(options.notice);
  }

  /** Messages behind the last one that came. */
  get pending(): number {
    return this.#pending;
  }

  /** All that there was has been handled, and more would come at once. */
  get caughtUp(): boolean {
    return this.#messages !== null && this.#pending === 0 && this.#underWay.size === 0;
  }

  /** Reads until `signal`; what was begun is then handled. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => void this.#messages?.close();
    signal.addEventListener("abort", stop);
    const { stream, subject } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#read(signal);
      } catch (error) {
        if (!signal.aborted) {
          this.#notices.say(subject, `cannot read ${stream} ${subject}: ${whyNot(error)}`);
        }
      }
      await delay(RETRY_MS, { signal });
    }
    signal.removeEventListener("abort", stop);
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { stream, subject } = this.#options;
    const { consumers, client } = this.#link;
    const name = `${this.#options.name}-${crypto.randomUUID().slice(0, 8)}`;
    const info = await consumers.add(stream, {
      durable_name: name,
      filter_subject: subject,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#next,
      inactive_threshold: nanos(INACTIVE_MS),
      max_ack_pending: 4 * UNDER_WAY_MAX,
      mem_storage: true,
      num_replicas: 1,
    });
    const messages = await client.consumers.getConsumerFromInfo(info).consume({
      expires: EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
      max_messages: 2 * UNDER_WAY_MAX,
      // Asked after itself, a consumer that died with its node keeps the client waiting for an answer without end.
      bind: true,
    });
    this.#notices.over(subject);
    this.#pending = info.num_pending;
    this.#messages = messages;
    const life = new SignsOfLife(messages, this.#options.silentMs ?? SILENT_MS);
    if (signal.aborted) void messages.close();
    const underWay: Promise<void>[] = [];
    let failure: unknown = null;
    let delivered = 0;
    try {
      for await (const message of messages) {
        life.seen();
        if (failure !== null) break;
        // One that got lost on its way comes again later, behind others: too late for the order.
        if (message.info.deliverySequence !== ++delivered) break;
        // After a change of leader the old one's messages may come once more, and so do those whose acknowledgement was
        // lost, each of which keeps a place from being used until it is acknowledged.
        if (message.seq < this.#next) {
          if (!this.#underWay.has(message.seq)) message.ack();
          continue;
        }
        this.#next = message.seq + 1;
        this.#pending = message.info.pending;
        underWay.push(
          this.#handle(message).then(() => message.ack(), (error) => {
            failure ??= error;
            this.#next = Math.min(this.#next, message.seq);
            void messages.close();
          }),
        );
        if (underWay.length >= UNDER_WAY_MAX) await life.paused(underWay.shift()!);
      }
    } finally {
      this.#messages = null;
      life[Symbol.dispose]();
      // What it says to a node that is gone need not be heard.
      void messages.close();
      await Promise.all(underWay);
      // One that cannot be removed now goes by itself.
      void consumers.delete(stream, name).catch(() => {});
    }
    if (failure !== null) throw failure;
  }

  async #handle(message: JsMsg): Promise<void> {
    this.#underWay.add(message.seq);
    const [oldest] = this.#underWay;
    try {
      await this.#options.handle(message, oldest === message.seq ? oldest : oldest - 1);
    } finally {
      this.#underWay.delete(message.seq);
    }
  }
}

/** Ends the reading of a consumer that says nothing more: neither a message, nor a heartbeat. */
class SignsOfLife implements Disposable {
  readonly #messages: ConsumerMessages;
  readonly #silentMs: number;
  readonly #timer = setInterval(() => this.#check(), HEARTBEAT_MS);
  #seenMs = performance.now();
  #isPaused = false;

  constructor(messages: ConsumerMessages, silentMs: number) {
    this.#messages = messages;
    this.#silentMs = silentMs;
    void this.#follow();
  }

  seen(): void {
    this.#seenMs = performance.now();
  }

  /** Who does not ask is not told anything either. */
  async paused(until: Promise<void>): Promise<void> {
    this.#isPaused = true;
    await until;
    this.#isPaused = false;
    this.seen();
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.#messages.status()) {
      if (type === "heartbeat") this.seen();
      else if (type === "consumer_deleted" || type === "no_responders") void this.#messages.close();
    }
  }

  #check(): void {
    if (!this.#isPaused && performance.now() - this.#seenMs > this.#silentMs) void this.#messages.close();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
