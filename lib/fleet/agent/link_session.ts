/** One stream to one server, from Hello to its end. Batches that were not acknowledged stay in the spool. */
import * as grpc from "@grpc/grpc-js";
import { type Goaway, ServerMessage, type Welcome } from "../proto/ebpfmon.gen.ts";
import { decodeFilter, decodePositions, type Position } from "../codec.ts";
import { bufferOf, encodeHello, frameBatch, STREAM_PATH } from "../method.ts";
import type { AgentIdentity } from "../agent_identity.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import type { Spool } from "./spool.ts";

export interface SessionOptions {
  identity: AgentIdentity;
  metadata: grpc.Metadata;
  /**
   * The longest that the agent waits for Welcome, or for an acknowledgement while batches are under way, before it
   * gives up the stream.
   */
  answerMs: number;
  /** The longest that the agent waits at the end for acknowledgements of batches under way. */
  drainMs: number;
  onWelcome: (held: Position[]) => void;
  onSent: (batch: Position, events: number) => void;
  /** The server has the batches of these severities up to and including these sequences. */
  onAcknowledged: (positions: Position[]) => void;
  onFilter: (filter: FleetFilter) => void;
  onNotice: (notice: string) => void;
}

export interface SessionEnd {
  /** The reason, in a few words. */
  reason: string;
  /** The time to wait where the server asked for the end; null otherwise. */
  goawayMs: number | null;
  /** True where the agent itself ended the stream. */
  finished: boolean;
}

type StreamCall = grpc.ClientDuplexStream<Uint8Array, ServerMessage>;

const CHECK_MS = 500;

export class LinkSession {
  /** Resolves when the stream has ended. Never rejects. */
  readonly ended: Promise<SessionEnd>;
  readonly #call: StreamCall;
  readonly #spool: Spool;
  readonly #options: SessionOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #welcomed = false;
  /** Set once nothing more is sent. */
  #closing: Omit<SessionEnd, "reason"> & { reason: string; untilMs: number } | null = null;
  #blocked = false;
  #windowBytes = 0;
  #messageBytesMax = 0;
  #inFlightBytes = 0;
  /** The last time at which an answer arrived, or no answer was outstanding. */
  #answeredMs = performance.now();

  constructor(client: grpc.Client, spool: Spool, options: SessionOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#call = client.makeBidiStreamRequest(
      STREAM_PATH,
      bufferOf,
      (bytes) => ServerMessage.decode(bytes),
      options.metadata,
      {},
    );
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    const end = (reason: string) => {
      clearInterval(this.#timer);
      const { goawayMs = null, finished = false } = this.#closing ?? {};
      this.#closing ??= { reason, goawayMs, finished, untilMs: 0 };
      resolve({ reason: this.#closing.reason, goawayMs, finished });
    };
    this.ended = promise;
    this.#call.on("data", (message: ServerMessage) => this.#receive(message));
    this.#call.on("drain", () => {
      this.#blocked = false;
      this.pump();
    });
    this.#call.on("error", (error: grpc.ServiceError) => end(describe(error)));
    this.#call.on("end", () => end("the server ended the stream"));
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#call.write(encodeHello({ ...options.identity, spoolId: spool.id }));
  }

  get welcomed(): boolean {
    return this.#welcomed;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Sends what the spool has, as far as the server's window allows. */
  pump(): void {
    while (this.#welcomed && !this.#closing && !this.#blocked) {
      const nextBytes = this.#spool.nextBytes();
      if (nextBytes === null || this.#windowBytes === 0) return;
      if (this.#inFlightBytes > 0 && this.#inFlightBytes + nextBytes > this.#windowBytes) return;
      const batch = this.#spool.take();
      if (batch === null) return;
      if (batch.bytes.length > this.#messageBytesMax) {
        this.#spool.reject(batch);
        const limit = `${batch.bytes.length} bytes, the server takes ${this.#messageBytesMax}`;
        this.#options.onNotice(`Dropped a batch of ${batch.events} events: it has ${limit}`);
        continue;
      }
      if (this.#inFlightBytes === 0) this.#answeredMs = performance.now();
      this.#inFlightBytes += batch.bytes.length;
      this.#blocked = !this.#call.write(frameBatch(batch.bytes));
      this.#options.onSent(batch, batch.events);
    }
  }

  /** Sends nothing more, waits for the acknowledgements of batches under way, and ends the stream. */
  finish(reason: string): void {
    this.#close(reason, null, true);
  }

  /** Ends the stream at once. */
  abort(reason: string): void {
    this.#closing ??= { reason, goawayMs: null, finished: true, untilMs: 0 };
    this.#call.cancel();
  }

  #close(reason: string, goawayMs: number | null, finished: boolean): void {
    if (this.#closing) return;
    this.#closing = { reason, goawayMs, finished, untilMs: performance.now() + this.#options.drainMs };
    this.#endIfQuiet();
  }

  #endIfQuiet(): void {
    if (this.#inFlightBytes === 0) this.#call.end();
  }

  #check(): void {
    const now = performance.now();
    if (this.#closing) {
      if (now >= this.#closing.untilMs) this.#call.cancel();
      return;
    }
    const waits = !this.#welcomed || this.#inFlightBytes > 0;
    if (waits && now - this.#answeredMs > this.#options.answerMs) {
      const goal = this.#welcomed ? "acknowledged nothing" : "did not answer";
      const reason = `the server ${goal} for ${Math.round(this.#options.answerMs / 1000)} s`;
      this.#closing = { reason, goawayMs: null, finished: false, untilMs: 0 };
      this.#call.cancel();
    }
  }

  #receive(message: ServerMessage): void {
    if (message.welcome) this.#welcome(message.welcome);
    if (message.ack) this.#acknowledge(decodePositions(message.ack.acknowledged));
    if (message.credit) this.#windowBytes = message.credit.windowBytes;
    if (message.filter) this.#options.onFilter(decodeFilter(message.filter));
    if (message.goaway) this.#goaway(message.goaway);
    else this.pump();
  }

  #welcome(welcome: Welcome): void {
    if (this.#welcomed) return;
    this.#welcomed = true;
    this.#windowBytes = welcome.windowBytes;
    this.#messageBytesMax = welcome.messageBytesMax;
    this.#answeredMs = performance.now();
    const held = decodePositions(welcome.acknowledged);
    for (const { severity, sequence } of held) this.#spool.acknowledge(severity, sequence);
    this.#options.onWelcome(held);
    if (welcome.filter) this.#options.onFilter(decodeFilter(welcome.filter));
  }

  #acknowledge(positions: Position[]): void {
    for (const { severity, sequence } of positions) this.#inFlightBytes -= this.#spool.acknowledge(severity, sequence);
    this.#answeredMs = performance.now();
    this.#options.onAcknowledged(positions);
    if (this.#closing) this.#endIfQuiet();
  }

  #goaway({ reason, reconnectAfterMs }: Goaway): void {
    this.#close(`the server said goodbye: ${reason || "no reason given"}`, reconnectAfterMs, false);
  }
}

function describe(error: grpc.ServiceError): string {
  return `${grpc.status[error.code] ?? error.code}: ${error.details}`;
}
