/**
 * Sends traces over OTLP (HTTP, protobuf): a bounded queue, one request at a time, retries as the specification has
 * them. The wire format is the official serializer's; the sending is ours, because the official exporter can neither be
 * stopped in the middle of a request or a wait, nor says which spans it gave up.
 */
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { type Failure, RetryQueue } from "../../runtime/retry_queue.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import type { After } from "../../runtime/timers.ts";
import type { OtlpSettings } from "./otlp_settings.ts";
import { SpanMaker } from "./otlp_spans.ts";

export interface OtlpExporterOptions {
  settings: Pick<OtlpSettings, "url" | "headers" | "timeoutMs" | "compression">;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  after: After;
  /** 0 to 1, for the jitter. */
  random?: () => number;
  attemptsMax?: number;
  /** The wait after attempt n is random, up to `backoffMs` x 2^(n-1) and `backoffMsMax`, unless the receiver says how long. */
  backoffMs?: number;
  backoffMsMax?: number;
  /** Spans that may wait; a group that finds no room is dropped whole, and counted. */
  queueSpansMax?: number;
  /** Spans of one request; a group is never divided. */
  batchSpansMax?: number;
  /** Groups that are remembered, so that none is sent twice. */
  rememberedMax?: number;
  /** Called when spans are given up. */
  onFailure?: (reason: string, spans: number) => void;
  /** Called with ids of groups of which nothing will be sent any more. What the end of the export cut off is not among them. */
  onSettled?: (groups: string[]) => void;
}

/** Spans, but for the last three. taken = exported + rejected + failed + dropped + waiting. */
export interface OtlpCounts {
  taken: number;
  exported: number;
  /** Refused by the receiver in an answer that took the others. */
  rejected: number;
  /** Given up. */
  failed: number;
  /** Found no room. */
  dropped: number;
  waiting: number;
  retries: number;
  requests: number;
  /** Groups that had been sent before. */
  duplicates: number;
}

const DEFAULTS = {
  random: Math.random,
  attemptsMax: 8,
  backoffMs: 1_000,
  backoffMsMax: 30_000,
  queueSpansMax: 50_000,
  batchSpansMax: 2_000,
  rememberedMax: 50_000,
  onFailure: () => {},
  onSettled: () => {},
};

const RETRY_AFTER_MS_MAX = 60_000;
const ANSWER_BYTES_MAX = 65_536;
/** By the specification; any other status is final. */
const TRANSIENT_STATUSES = [429, 502, 503, 504];

/** What a receiver says of spans that it took. */
interface Receipt {
  rejected: number;
  message: string;
}

/** Sends closed groups, one request after the other, in the order of `send`. */
export class OtlpExporter {
  readonly #options: Required<OtlpExporterOptions>;
  readonly #spans = new SpanMaker();
  /** A group's spans together. */
  readonly #queue: RetryQueue<ReadableSpan[]>;
  #isClosed = false;
  /** Ids, the oldest first. */
  #remembered = new Set<string>();
  readonly #counts: OtlpCounts = {
    taken: 0,
    exported: 0,
    rejected: 0,
    failed: 0,
    dropped: 0,
    waiting: 0,
    retries: 0,
    requests: 0,
    duplicates: 0,
  };

  constructor(options: OtlpExporterOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#queue = new RetryQueue({
      ...this.#options,
      timeoutMs: options.settings.timeoutMs,
      attempt: (groups, signal) => this.#post(groups, signal),
      batchLength: (waiting) => this.#batchLength(waiting),
      retrying: () => this.#counts.retries++,
      givenUp: (groups, reason) => this.#giveUp(groups, reason),
    });
  }

  get counts(): Readonly<OtlpCounts> {
    return { ...this.#counts };
  }

  /** Takes a closed group and returns at once; never throws. A group that was taken before is not sent again. */
  send(group: CorrelatedGroup): void {
    if (this.#remembered.has(group.id)) {
      this.#counts.duplicates++;
      return;
    }
    const spanCount = group.members.length + 1;
    this.#counts.taken += spanCount;
    if (this.#isClosed || this.#counts.waiting + spanCount > this.#options.queueSpansMax) {
      this.#counts.dropped += spanCount;
      this.#options.onFailure(this.#isClosed ? "the export has ended" : "too many spans wait", spanCount);
      if (!this.#isClosed) this.#options.onSettled([group.id]);
      return;
    }
    this.#remember(group.id);
    this.#counts.waiting += spanCount;
    this.#queue.push(this.#spans.spansOf(group));
  }

  /** Waits until all is sent or given up, at most `graceMs`; what is left then counts as failed. */
  close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    return this.#queue.close(graceMs);
  }

  #remember(id: string): void {
    this.#remembered.add(id);
    if (this.#remembered.size <= this.#options.rememberedMax) return;
    const [oldest] = this.#remembered;
    this.#remembered.delete(oldest);
  }

  #batchLength(waiting: readonly ReadableSpan[][]): number {
    let groups = 1;
    let spans = waiting[0].length;
    while (groups < waiting.length && spans + waiting[groups].length <= this.#options.batchSpansMax) {
      spans += waiting[groups++].length;
    }
    return groups;
  }

  async #post(groups: ReadableSpan[][], signal: AbortSignal): Promise<Failure | null> {
    const { settings: { url, headers, compression }, fetch } = this.#options;
    this.#counts.requests++;
    const plain = ProtobufTraceSerializer.serializeRequest(groups.flat()) as Uint8Array<ArrayBuffer>;
    const response = await fetch(url, {
      method: "POST",
      headers: {
        ...headers,
        "content-type": "application/x-protobuf",
        ...compression === "gzip" && { "content-encoding": "gzip" },
      },
      body: compression === "gzip" ? await gzip(plain) : plain,
      // A redirect would turn the POST into a GET, or take the headers to another host.
      redirect: "manual",
      signal,
    });
    const answer = await readBounded(response);
    if (!response.ok) {
      return {
        reason: `HTTP status ${response.status}`,
        retry: TRANSIENT_STATUSES.includes(response.status),
        retryAfterMs: retryAfterMs(response.headers.get("retry-after")),
      };
    }
    this.#settle(groups, answer);
    return null;
  }

  #settle(groups: ReadableSpan[][], answer: Uint8Array): void {
    const spans = groups.flat().length;
    const { rejected, message } = receiptOf(answer, spans);
    this.#counts.waiting -= spans;
    this.#counts.rejected += rejected;
    this.#counts.exported += spans - rejected;
    if (rejected > 0) this.#options.onFailure(message || "the receiver rejected spans", rejected);
    this.#options.onSettled(groups.map(groupOf));
  }

  #giveUp(groups: ReadableSpan[][], reason: string): void {
    const spans = groups.flat().length;
    this.#counts.waiting -= spans;
    this.#counts.failed += spans;
    // Who gives such a group again, after a replay, gets another try.
    for (const group of groups) this.#remembered.delete(groupOf(group));
    this.#options.onFailure(reason, spans);
    if (!this.#queue.stopped) this.#options.onSettled(groups.map(groupOf));
  }
}

/** Of whose spans these are. */
function groupOf([root]: ReadableSpan[]): string {
  return root.spanContext().traceId;
}

async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).arrayBuffer();
}

/** The start of an answer; a receiver that says more than it needs to is cut off. */
async function readBounded(response: Response): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let lenBytes = 0;
  // Leaving the loop cancels the body.
  for await (const chunk of response.body) {
    chunks.push(chunk);
    lenBytes += chunk.length;
    if (lenBytes >= ANSWER_BYTES_MAX) break;
  }
  const bytes = new Uint8Array(lenBytes);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** An answer that is no protobuf still says, by its status, that the spans were taken. */
function receiptOf(answer: Uint8Array, spans: number): Receipt {
  try {
    const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(answer);
    const rejected = Math.min(spans, Math.max(0, Number(partialSuccess?.rejectedSpans ?? 0)));
    return { rejected, message: partialSuccess?.errorMessage ?? "" };
  } catch {
    return { rejected: 0, message: "" };
  }
}

/** Seconds, or a date; null where it is neither. */
function retryAfterMs(text: string | null): number | null {
  if (text === null) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms));
}
