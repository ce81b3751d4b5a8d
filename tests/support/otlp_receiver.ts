/**
 * A receiver of traces that shares nothing with what sends them: an HTTP server on loopback that decodes with what
 * protobufjs makes of the OpenTelemetry project's own definitions. Newer versions of the package that this comes from
 * write their wire format by hand.
 */
import protos from "@opentelemetry/otlp-transformer-with-protobufjs";

/** As protobufjs makes it of a message; the package types all of them as unknown reflection. */
interface Codec {
  decode(bytes: Uint8Array): unknown;
  // deno-lint-ignore no-explicit-any
  toObject(message: unknown, options: object): any;
  fromObject(plain: object): unknown;
  encode(message: unknown): { finish(): Uint8Array };
}

// deno-lint-ignore no-explicit-any
const service: Record<string, Codec> = (protos as any).opentelemetry.proto.collector.trace.v1;
const { ExportTraceServiceRequest, ExportTraceServiceResponse } = service;

export type AttributeValue = string | number | boolean | AttributeValue[];
export type ReceivedAttributes = Record<string, AttributeValue>;

export interface ReceivedSpan {
  resource: ReceivedAttributes;
  traceId: string;
  spanId: string;
  /** Empty for none. */
  parentSpanId: string;
  name: string;
  /** `SPAN_KIND_CLIENT` and so on. */
  kind: string;
  startUnixNs: bigint;
  endUnixNs: bigint;
  attributes: ReceivedAttributes;
  links: { traceId: string; spanId: string }[];
  /** `STATUS_CODE_ERROR` and so on. */
  status: string;
  message: string;
}

export interface ReceivedRequest {
  path: string;
  headers: Headers;
  /** Of the resources in the message, in its order. */
  resources: ReceivedAttributes[];
  spans: ReceivedSpan[];
}

/** What to answer: a status, or a number of spans to reject in a 200, or nothing at all until the client goes away. */
export type Answer =
  | { status: number; headers?: Record<string, string> }
  | { rejectedSpans: number; errorMessage: string }
  | "silence";

export class OtlpReceiver implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #silences = new AbortController();
  /** For the next requests, in turn; then 200. */
  #answers: Answer[] = [];

  readonly #scheme: string;

  /** @param port 0 for any */
  constructor(port = 0, tls?: { cert: string; key: string }) {
    this.#scheme = tls ? "https" : "http";
    const options = { hostname: "127.0.0.1", port, onListen: () => {}, ...tls };
    this.#server = Deno.serve(options, (request) => this.#handle(request));
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** Of all requests that were answered with success. */
  get spans(): ReceivedSpan[] {
    return this.requests.flatMap(({ spans }) => spans);
  }

  answerWith(...answers: Answer[]): void {
    this.#answers.push(...answers);
  }

  async #handle(request: Request): Promise<Response> {
    const answer = this.#answers.shift();
    const body = new Uint8Array(await bodyOf(request).arrayBuffer());
    if (answer === "silence") {
      await new Promise((resolve) => this.#silences.signal.addEventListener("abort", resolve));
      return new Response(null, { status: 500 });
    }
    if (answer && "status" in answer) return new Response("not now", answer);
    this.requests.push({ ...this.#decode(body), path: new URL(request.url).pathname, headers: request.headers });
    const message = answer === undefined ? {} : { partialSuccess: answer };
    const bytes = new Uint8Array(
      ExportTraceServiceResponse.encode(ExportTraceServiceResponse.fromObject(message)).finish(),
    );
    return new Response(bytes, { headers: { "content-type": "application/x-protobuf" } });
  }

  #decode(body: Uint8Array): Pick<ReceivedRequest, "resources" | "spans"> {
    const message = ExportTraceServiceRequest.toObject(ExportTraceServiceRequest.decode(body), {
      longs: String,
      enums: String,
      bytes: Array,
      defaults: true,
    });
    const resources: ReceivedAttributes[] = [];
    const spans: ReceivedSpan[] = [];
    for (const { resource, scopeSpans } of message.resourceSpans) {
      const attributes = attributesOf(resource.attributes);
      resources.push(attributes);
      // deno-lint-ignore no-explicit-any
      for (const span of scopeSpans.flatMap(({ spans }: any) => spans)) spans.push(spanOf(span, attributes));
    }
    return { resources, spans };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#silences.abort();
    await this.#server.shutdown();
  }
}

function bodyOf(request: Request): Response {
  if (request.headers.get("content-encoding") !== "gzip") return new Response(request.body);
  return new Response(request.body!.pipeThrough(new DecompressionStream("gzip")));
}

// deno-lint-ignore no-explicit-any
function spanOf(span: any, resource: ReceivedAttributes): ReceivedSpan {
  return {
    resource,
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId),
    name: span.name,
    kind: span.kind,
    startUnixNs: BigInt(span.startTimeUnixNano),
    endUnixNs: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    // deno-lint-ignore no-explicit-any
    links: span.links.map((link: any) => ({ traceId: hex(link.traceId), spanId: hex(link.spanId) })),
    status: span.status.code,
    message: span.status.message,
  };
}

// deno-lint-ignore no-explicit-any
function attributesOf(pairs: { key: string; value: any }[]): ReceivedAttributes {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, valueOf(value)]));
}

// deno-lint-ignore no-explicit-any
function valueOf(value: any): AttributeValue {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(valueOf);
  throw new TypeError(`Cannot read an attribute: it has ${Object.keys(value)}`);
}

function hex(bytes: number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
