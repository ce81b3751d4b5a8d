/** One agent's stream. Its batches go to the store in groups, and are acknowledged once they are stored. */
import type { AgentStatus } from "./agent_status.ts";
import type { FleetStore } from "./fleet_store.ts";
import type { BatchSource, ReceivedBatch } from "../received_batch.ts";
import * as grpc from "@grpc/grpc-js";
import type { AgentMessage, Batch, Hello } from "../proto/ebpfmon.gen.ts";
import { encodeFilter, encodePosition, severityOf } from "../codec.ts";
import { encodeServerMessage, FRAME_OVERHEAD_BYTES } from "../method.ts";
import { BATCH_RECORDS_MAX } from "../sequences.ts";
import { type BySeverity, bySeverity } from "../by_severity.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import type { SaidOnce } from "../said_once.ts";
import { type ServerLimits, TokenBucket } from "./limits.ts";

export type StreamCall = grpc.ServerDuplexStream<ReceivedMessage, Uint8Array>;

/** A message with its length on the wire. */
export interface ReceivedMessage {
  message: AgentMessage;
  lengthBytes: number;
  /** The encoded batch in the message; null where there is none, or where it was not encoded in one piece. */
  encodedBatch: Uint8Array<ArrayBuffer> | null;
}

export interface SessionContext {
  store: FleetStore;
  limits: ServerLimits;
  filter: FleetFilter | null;
  /** The window of a new stream: bytes of batches that may be under way. */
  windowBytes: () => number;
  /**
   * Makes this stream the one of its agent. Resolves when the agent's stream before this one has ended. @throws
   * {grpc.ServiceError} when the agent is not let in
   */
  admit: (session: AgentSession, hello: Hello) => Promise<AgentStatus>;
  /** Faults of the store, by agent. */
  faults: SaidOnce;
}

/** With more unread answers than this, the agent counts as one that does not read. */
const UNREAD_ANSWERS_MAX = 10_000;

export class AgentSession {
  /** Resolves when the stream has ended and the store has finished with the stream's batches. Never rejects. */
  readonly ended: Promise<void>;
  readonly #call: StreamCall;
  readonly #context: SessionContext;
  readonly #resolveEnded: () => void;
  readonly #startMs = performance.now();
  #source: BatchSource | null = null;
  #status: AgentStatus | null = null;
  #bucket: TokenBucket;
  #pending: ReceivedBatch[] = [];
  #pendingBytes = 0;
  /** The highest sequences by severity: received on this stream, and stored. */
  #received: BySeverity = bySeverity(0);
  #stored: BySeverity = bySeverity(0);
  #windowBytes = 0;
  #storing = false;
  #greeting = false;
  #over = false;
  #halfClosed = false;
  #throttle: ReturnType<typeof setTimeout> | undefined;
  #heardMs = performance.now();

  constructor(call: StreamCall, context: SessionContext) {
    this.#call = call;
    this.#context = context;
    const { eventsPerSecond, burstEvents } = context.limits;
    this.#bucket = new TokenBucket(eventsPerSecond, burstEvents, performance.now());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    call.on("data", (received: ReceivedMessage) => this.#receive(received));
    call.on("end", () => {
      this.#halfClosed = true;
      this.#endIfQuiet();
    });
    call.on("cancelled", () => this.#leave());
    call.on("close", () => this.#leave());
    call.on("error", () => this.#leave());
  }

  get agent(): string | null {
    return this.#source?.agent ?? null;
  }

  /** Ends the stream with an error. Batches that the store has begun with are still stored. */
  fail(code: grpc.status, details: string): void {
    if (this.#over) return;
    this.#leave();
    this.#call.emit("error", { code, details });
  }

  goaway(reason: string, reconnectAfterMs: number): void {
    if (!this.#over) this.#call.write(encodeServerMessage({ goaway: { reason, reconnectAfterMs } }));
  }

  setFilter(filter: FleetFilter): void {
    if (this.#source && !this.#over) this.#call.write(encodeServerMessage({ filter: encodeFilter(filter) }));
  }

  setWindow(windowBytes: number): void {
    if (this.#source === null || this.#over || windowBytes === this.#windowBytes) return;
    this.#windowBytes = windowBytes;
    this.#call.write(encodeServerMessage({ credit: { windowBytes } }));
  }

  /** Ends the stream where the agent has been silent for too long. */
  checkIdle(nowMs: number): void {
    const { helloMs, idleMs } = this.#context.limits;
    if (!this.#greeting && nowMs - this.#startMs > helloMs) {
      this.fail(grpc.status.DEADLINE_EXCEEDED, "no Hello");
    } else if (nowMs - this.#heardMs > idleMs && !this.#storing) {
      this.fail(grpc.status.UNAVAILABLE, "idle for too long");
    }
  }

  #receive({ message, lengthBytes, encodedBatch }: ReceivedMessage): void {
    if (this.#over) return;
    this.#heardMs = performance.now();
    if (message.hello) this.#hello(message.hello);
    else if (message.batch) this.#batch(message.batch, lengthBytes, encodedBatch);
    // Anything else is from a newer agent, which does without an answer.
  }

  #hello(hello: Hello): void {
    if (this.#greeting) return this.fail(grpc.status.FAILED_PRECONDITION, "a second Hello");
    this.#greeting = true;
    if (hello.agentId === "" || hello.agentId.length > 255) {
      return this.fail(grpc.status.INVALID_ARGUMENT, "agent_id must have 1 to 255 characters");
    }
    if (hello.spoolId.length !== 16) return this.fail(grpc.status.INVALID_ARGUMENT, "spool_id must have 16 bytes");
    this.#greet(hello).catch((error) => this.#fault(error));
  }

  async #greet(hello: Hello): Promise<void> {
    const source: BatchSource = {
      agent: hello.agentId,
      spool: hello.spoolId.toHex(),
      host: hello.host,
      version: hello.version,
      bootId: hello.bootId,
    };
    const status = await this.#context.admit(this, hello);
    if (this.#over) return;
    this.#stored = { ...await this.#context.store.lastSequences(source) };
    if (this.#over) return;
    this.#received = { ...this.#stored };
    this.#status = status;
    this.#source = source;
    this.#windowBytes = this.#context.windowBytes();
    const { filter, limits } = this.#context;
    this.#call.write(encodeServerMessage({
      welcome: {
        acknowledged: SEVERITIES.map((severity) => encodePosition({ severity, sequence: this.#stored[severity] })),
        windowBytes: this.#windowBytes,
        messageBytesMax: limits.messageBytesMax - FRAME_OVERHEAD_BYTES,
        filter: filter === null ? undefined : encodeFilter(filter),
      },
    }));
  }

  #batch(content: Batch, lengthBytes: number, encoded: Uint8Array<ArrayBuffer> | null): void {
    const source = this.#source;
    const status = this.#status;
    if (source === null || status === null) {
      return this.fail(grpc.status.FAILED_PRECONDITION, "a batch before Welcome");
    }
    const severity = severityOf(content.lane);
    const sequence = Number(content.sequence);
    const rows = content.windows.reduce((sum, { top }) => sum + top.length, 0);
    if (severity === null || !Number.isSafeInteger(sequence) || sequence < 1) {
      return this.fail(grpc.status.INVALID_ARGUMENT, "a batch without a severity or a sequence");
    }
    if (content.events.length + rows > BATCH_RECORDS_MAX) {
      return this.fail(grpc.status.INVALID_ARGUMENT, `a batch of more than ${BATCH_RECORDS_MAX} records`);
    }
    const receivedUnixMs = Date.now();
    status.lastSeenUnixMs = receivedUnixMs;
    if (sequence <= this.#received[severity]) {
      status.duplicates++;
      if (sequence <= this.#stored[severity]) this.#acknowledge([severity]);
      return;
    }
    this.#received[severity] = sequence;
    const events = content.events.length + content.rawEvents;
    this.#pending.push({
      ...source,
      severity,
      sequence,
      events,
      content,
      ...encoded !== null && { encoded },
      receivedUnixMs,
    });
    this.#pendingBytes += lengthBytes;
    status.bytes += lengthBytes;
    const waitMs = this.#bucket.take(events, performance.now());
    if (waitMs > 0) this.#throttleFor(waitMs, status);
    this.#flow();
    if (!this.#storing) this.#storeAll(status).catch((error) => this.#fault(error));
  }

  #throttleFor(waitMs: number, status: AgentStatus): void {
    clearTimeout(this.#throttle);
    status.throttledMs += waitMs;
    this.#throttle = setTimeout(() => {
      this.#throttle = undefined;
      this.#flow();
    }, waitMs);
  }

  /** Continues or pauses reading. While it is paused, HTTP/2's flow control holds the agent back. */
  #flow(): void {
    if (this.#over) return;
    if (this.#throttle !== undefined || this.#pendingBytes > this.#windowBytes) this.#call.pause();
    else this.#call.resume();
  }

  async #storeAll(status: AgentStatus): Promise<void> {
    this.#storing = true;
    try {
      while (this.#pending.length > 0) {
        const batches = this.#pending;
        this.#pending = [];
        this.#pendingBytes = 0;
        await this.#context.store.accept(batches);
        this.#context.faults.over(status.agent);
        const severities = new Set<Severity>();
        for (const { severity, sequence, events } of batches) {
          this.#stored[severity] = sequence;
          severities.add(severity);
          status.batches++;
          status.events += events;
        }
        this.#acknowledge([...severities]);
        this.#flow();
      }
    } finally {
      this.#storing = false;
      if (this.#over) this.#resolveEnded();
    }
    this.#endIfQuiet();
  }

  #acknowledge(severities: Severity[]): void {
    if (this.#over) return;
    const acknowledged = severities.map((severity) => encodePosition({ severity, sequence: this.#stored[severity] }));
    this.#call.write(encodeServerMessage({ ack: { acknowledged } }));
    if (this.#call.writableLength > UNREAD_ANSWERS_MAX) {
      this.fail(grpc.status.RESOURCE_EXHAUSTED, "acknowledgements are not being read");
    }
  }

  /** Ends the stream once the agent has closed its side and all of its batches are stored. */
  #endIfQuiet(): void {
    if (!this.#halfClosed || this.#storing || this.#over) return;
    this.#leave();
    this.#call.end();
  }

  #fault(error: unknown): void {
    if (isServiceError(error)) return this.fail(error.code, error.details);
    const message = error instanceof Error ? error.message : String(error);
    const agent = this.#source?.agent ?? "an agent";
    this.#context.faults.say(agent, `Cannot store what ${agent} sends: ${message}`);
    this.fail(grpc.status.UNAVAILABLE, "the server cannot store batches now");
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#throttle);
    this.#pending = [];
    if (!this.#storing) this.#resolveEnded();
  }
}

function isServiceError(error: unknown): error is { code: grpc.status; details: string } {
  return typeof error === "object" && error !== null && "code" in error && "details" in error &&
    typeof error.code === "number" && typeof error.details === "string";
}
