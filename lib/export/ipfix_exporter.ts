/**
 * Sends flow records to an IPFIX collector. Windows never wait for it: messages are queued up to a bound, and what
 * finds no room, or is lost with a connection, is counted and told to the collector in the statistics record.
 */
import { Backoff } from "../runtime/backoff.ts";
import { delay } from "../runtime/timers.ts";
import {
  flowsIn,
  type IpfixStatistics,
  messagesIn,
  stampMessage,
  statisticsMessage,
  templateMessages,
} from "../aggregate/flows/ipfix_layout.ts";
import { type IpfixTarget, type IpfixTransport, openTransport } from "./ipfix_transport.ts";

/** About four windows of 131,072 flows. */
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;
/** A collector that starts later learns the templates within this time; TCP's get them when they connect. */
const TEMPLATES_MS = 20_000;
/** Datagrams sent without a pause: far below what a socket's receive buffer holds. */
const BURST_MESSAGES = 32;
const BURST_PAUSE_MS = 1;
/** A connection that ends sooner is one more failure: some accept, and close at once. */
const STEADY_MS = 5_000;
/** How long the end of a run waits for what is queued. */
const CLOSE_MS = 3_000;
/** Places at the queue's start that are empty before it is moved up. */
const QUEUE_GAP_MAX = 1_024;

/** In the queue: the record of totals as they are when it is sent. */
const STATISTICS = Symbol("statistics");

/** Since the start. */
export interface IpfixCounts {
  messagesSent: number;
  bytesSent: number;
  flowsSent: number;
  flowsDropped: number;
  packetsDropped: bigint;
  octetsDropped: bigint;
  /** Connections that failed, and sends. */
  failures: number;
  queuedBytes: number;
  connected: boolean;
}

export interface IpfixExporterOptions {
  /** Told when the collector goes, and when it comes back. */
  notice(text: string): void;
  /** For tests. */
  queueBytesMax?: number;
  open?: typeof openTransport;
}

export class IpfixExporter implements AsyncDisposable {
  readonly #target: IpfixTarget;
  readonly #options: IpfixExporterOptions;
  readonly #queue: (Uint8Array<ArrayBuffer> | typeof STATISTICS)[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #backoff = new Backoff({ firstMs: 250, maxMs: 5_000 });
  readonly #counts: Omit<IpfixCounts, "connected"> = {
    messagesSent: 0,
    bytesSent: 0,
    flowsSent: 0,
    flowsDropped: 0,
    packetsDropped: 0n,
    octetsDropped: 0n,
    failures: 0,
    queuedBytes: 0,
  };
  #head = 0;
  #ignored = { packets: 0n, octets: 0n };
  #transport: IpfixTransport | null = null;
  /** Data records sent in this session. */
  #sequence = 0;
  #templatesDueMs = 0;
  #connectedMs = 0;
  #closing = false;
  #awayTold = false;
  #wake: () => void = () => {};

  constructor(target: IpfixTarget, options: IpfixExporterOptions) {
    this.#target = target;
    this.#options = options;
    this.#running = this.#run();
    // A notice that nobody can print is told to whoever closes this.
    this.#running.catch(() => {});
  }

  get counts(): IpfixCounts {
    return { ...this.#counts, connected: this.#transport !== null };
  }

  /** Queues messages of flow records, which are this object's from now on. */
  add(messages: ArrayBuffer): void {
    const { queueBytesMax = QUEUE_BYTES_MAX } = this.#options;
    for (const message of messagesIn(messages)) {
      if (this.#closing || this.#counts.queuedBytes + message.length > queueBytesMax) {
        this.#drop(message);
        continue;
      }
      this.#counts.queuedBytes += message.length;
      this.#queue.push(message);
    }
    this.#wake();
  }

  /** Ends a window: queues the statistics record. @param ignored packets and octets without a flow since the start */
  endWindow(ignored: { packets: bigint; octets: bigint }): void {
    this.#ignored = ignored;
    if (this.#queue.at(-1) !== STATISTICS) this.#queue.push(STATISTICS);
    this.#wake();
  }

  #drop(message: Uint8Array<ArrayBuffer>): void {
    const { flows, packets, octets } = flowsIn(message);
    this.#counts.flowsDropped += flows;
    this.#counts.packetsDropped += packets;
    this.#counts.octetsDropped += octets;
  }

  get #statistics(): IpfixStatistics {
    return {
      ignoredPackets: this.#ignored.packets,
      ignoredOctets: this.#ignored.octets,
      notSentFlows: BigInt(this.#counts.flowsDropped),
      notSentPackets: this.#counts.packetsDropped,
      notSentOctets: this.#counts.octetsDropped,
    };
  }

  get #queued(): number {
    return this.#queue.length - this.#head;
  }

  /** The oldest in the queue, taken out of it. */
  #shift(): Uint8Array<ArrayBuffer> | typeof STATISTICS {
    const next = this.#queue[this.#head++];
    // One that is never empty must not keep what was sent.
    if (this.#head === this.#queue.length || this.#head === QUEUE_GAP_MAX) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    if (next !== STATISTICS) this.#counts.queuedBytes -= next.length;
    return next;
  }

  async #run(): Promise<void> {
    let burst = 0;
    while (!this.#stop.signal.aborted) {
      if (this.#queued === 0) {
        if (this.#closing) return;
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      if (!await this.#prepare()) continue;
      await this.#sendNext();
      if (this.#target.protocol === "udp" && ++burst % BURST_MESSAGES === 0) {
        await delay(BURST_PAUSE_MS, this.#stop);
      }
    }
  }

  /** Opens the transport and describes the records where that is due. @returns whether data can follow */
  async #prepare(): Promise<boolean> {
    if (this.#transport?.ended) await this.#disconnect(new Error("the collector closed the connection"));
    try {
      if (this.#transport === null) {
        this.#transport = await this.#open();
        this.#connectedMs = performance.now();
        this.#templatesDueMs = 0;
        // A session of its own starts with each connection; over UDP there is but one.
        if (this.#target.protocol === "tcp") this.#sequence = 0;
      }
      if (performance.now() >= this.#templatesDueMs) {
        for (const message of templateMessages()) await this.#send(message, 0);
        this.#templatesDueMs = this.#target.protocol === "tcp" ? Infinity : performance.now() + TEMPLATES_MS;
      }
    } catch (error) {
      await this.#disconnect(error);
      return false;
    }
    if (this.#awayTold) this.#options.notice(`IPFIX collector ${this.#name} is back`);
    this.#awayTold = false;
    return true;
  }

  /** The end of the run does not wait for a name server or a host that is silent. */
  async #open(): Promise<IpfixTransport> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const opening = (this.#options.open ?? openTransport)(this.#target, signal);
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      return await Promise.race([opening, aborted.promise]);
    } catch (error) {
      opening.then((late) => late[Symbol.dispose](), () => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #sendNext(): Promise<void> {
    const next = this.#shift();
    try {
      if (next === STATISTICS) {
        await this.#send(statisticsMessage(this.#statistics), 1);
        return;
      }
      const { flows } = flowsIn(next);
      await this.#send(next, flows);
      this.#counts.flowsSent += flows;
    } catch (error) {
      if (next !== STATISTICS) this.#drop(next);
      await this.#disconnect(error);
    }
  }

  async #send(message: Uint8Array<ArrayBuffer>, records: number): Promise<void> {
    stampMessage(message, Math.floor(Date.now() / 1000), this.#sequence);
    await this.#transport!.send(message);
    this.#sequence += records;
    this.#counts.messagesSent++;
    this.#counts.bytesSent += message.length;
  }

  /** Returns when it may be tried again. */
  async #disconnect(error: unknown): Promise<void> {
    const steady = this.#transport !== null && performance.now() - this.#connectedMs >= STEADY_MS;
    this.#transport?.[Symbol.dispose]();
    this.#transport = null;
    // What the end of the run interrupts is no failure.
    if (this.#stop.signal.aborted) return;
    this.#counts.failures++;
    if (!this.#awayTold) {
      this.#awayTold = true;
      this.#options.notice(`IPFIX collector ${this.#name} is away: ${(error as Error).message}; trying again`);
    }
    if (steady) this.#backoff.reset();
    await delay(this.#backoff.next(), this.#stop);
  }

  get #name(): string {
    const { protocol, hostname, port } = this.#target;
    return `${protocol}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /** Sends what is queued, for a few seconds at most; what is left then is counted as dropped. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#wake();
    const timer = setTimeout(() => this.#abort(), CLOSE_MS);
    try {
      await this.#running;
    } finally {
      clearTimeout(timer);
      this.#transport?.[Symbol.dispose]();
      this.#transport = null;
      while (this.#queued > 0) {
        const next = this.#shift();
        if (next !== STATISTICS) this.#drop(next);
      }
    }
  }

  #abort(): void {
    this.#stop.abort();
    // Frees a send that waits for a collector which takes nothing.
    this.#transport?.[Symbol.dispose]();
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#abort();
    await this.close().catch(() => {});
  }
}
