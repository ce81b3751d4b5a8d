/**
 * Reads a stream from a place on, in order, each message once. The place is the reader's business, not the consumer's: so
 * one copy of a consumer is enough, and one that falls silent or is lost with its node is made anew, under another name,
 * behind the last message that was handled.
 */
import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { SaidOnce } from "../../fleet/said_once.ts";
import type { NatsLink } from "./connection.ts";

export interface StreamReaderOptions {
  stream: string;
  subject: string;
  /** What names of consumers begin with. */
  name: string;
  /** Sequence of the first message. */
  from: number;
  /** Called in order; several may be under way. */
  handle: (message: JsMsg) => Promise<void>;
  notice: (text: string) => void;
}

const EXPIRES_MS = 5000;
const HEARTBEAT_MS = 1000;
const HEARTBEATS_MISSED_MAX = 2;
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
  #underWay = 0;
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
    return this.#messages !== null && this.#pending === 0 && this.#underWay === 0;
  }

  /** Reads until `signal`; what was begun is then handled. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => void this.#messages?.close();
    signal.addEventListener("abort", stop);
    const { stream, subject } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#read(signal);
        this.#notices.over(subject);
      } catch (error) {
        if (!signal.aborted) {
          this.#notices.say(subject, `cannot read ${stream} ${subject}: ${(error as Error).message}`);
        }
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    signal.removeEventListener("abort", stop);
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { stream, subject } = this.#options;
    const { consumers, client } = this.#link;
    const name = `${this.#options.name}-${crypto.randomUUID().slice(0, 8)}`;
    const { num_pending: pending } = await consumers.add(stream, {
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
    const consumer = await client.consumers.get(stream, name);
    const messages = await consumer.consume({
      expires: EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
      max_messages: 2 * UNDER_WAY_MAX,
    });
    this.#pending = pending;
    this.#messages = messages;
    void stopWhenSilent(messages);
    if (signal.aborted) void messages.close();
    const underWay: Promise<void>[] = [];
    let failure: unknown = null;
    try {
      for await (const message of messages) {
        if (failure !== null) break;
        // After a change of leader the old one's messages may come once more.
        if (message.seq < this.#next) continue;
        this.#next = message.seq + 1;
        this.#pending = message.info.pending;
        this.#underWay++;
        underWay.push(
          this.#options.handle(message).then(() => message.ack(), (error) => {
            failure ??= error;
            this.#next = Math.min(this.#next, message.seq);
          }).finally(() => this.#underWay--),
        );
        if (underWay.length >= UNDER_WAY_MAX) await underWay.shift();
      }
    } finally {
      this.#messages = null;
      // What it says to a node that is gone need not be heard.
      void messages.close();
      await Promise.all(underWay);
      // One that cannot be removed now goes by itself.
      void consumers.delete(stream, name).catch(() => {});
    }
    if (failure !== null) throw failure;
  }
}

async function stopWhenSilent(messages: ConsumerMessages): Promise<void> {
  for await (const status of messages.status()) {
    const isGone = status.type === "consumer_deleted" || status.type === "consumer_not_found" ||
      status.type === "stream_not_found";
    const isSilent = status.type === "heartbeats_missed" && status.count >= HEARTBEATS_MISSED_MAX;
    if (isGone || isSilent) await messages.close();
  }
}
