/**
 * The receiving side of the fleet: listens, authenticates agents and keeps one stream of each agent. The caller brings
 * the store.
 */
import * as grpc from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";
import { DESCRIPTOR_SET } from "../proto/descriptors.gen.ts";
import { AgentMessage, type Hello } from "../proto/ebpfmon.gen.ts";
import { bufferOf, STREAM_PATH, unframeBatch } from "../method.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { SaidOnce } from "../said_once.ts";
import { formatServerAddress, isLoopback, type ServerAddress } from "../server_address.ts";
import { type TlsFiles, TlsSource } from "../tls.ts";
import { tokenOf } from "../token.ts";
import { AgentSession, type ReceivedMessage, type StreamCall } from "./agent_session.ts";
import type { AgentStatus } from "./agent_status.ts";
import type { FleetStore } from "./fleet_store.ts";
import { Health, HEALTH_SERVICE } from "./grpc_health.ts";
import { LIMIT_DEFAULTS, type ServerLimits, Tally, windowBytes } from "./limits.ts";
import { Reflection, REFLECTION_SERVICE } from "./reflection.ts";
import { ReloadableCredentials } from "./reloadable_credentials.ts";
import { TokenFile } from "./tokens.ts";
import { delay } from "../../runtime/timers.ts";

export interface FleetServerOptions {
  /** The address to listen on; port 0 for any free port. */
  listen: ServerAddress;
  store: FleetStore;
  /**
   * Certificates; null for plaintext, which is refused except on loopback addresses or with `insecure`. With `ca`,
   * agents must have a certificate that it signed.
   */
  tls: TlsFiles | null;
  insecure?: boolean;
  /** Path of the file of tokens (tokens.ts). Without it, everybody who can connect may stream. */
  tokensFile?: string;
  /** Requires that an agent's id is the common name of its certificate. */
  agentFromCertificate?: boolean;
  limits?: Partial<ServerLimits>;
  filter?: FleetFilter;
  /** How often certificate and token files are checked for changes. */
  reloadMs?: number;
  /** Connections end when the other side has not answered for about this long. */
  keepaliveMs?: number;
  onNotice: (notice: string) => void;
}

export interface FleetServerStats {
  agentsConnected: number;
  streams: number;
  /** Streams and connections that were refused, by reason. */
  refused: { unauthenticated: number; limit: number; draining: number };
  agents: AgentStatus[];
}

const FLEET_SERVICE = {
  stream: {
    path: STREAM_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: ({ message }: ReceivedMessage) => bufferOf(AgentMessage.encode(message).finish()),
    requestDeserialize: (bytes: Buffer): ReceivedMessage => ({
      message: AgentMessage.decode(bytes),
      lengthBytes: bytes.length,
      encodedBatch: unframeBatch(bytes),
    }),
    responseSerialize: (bytes: Uint8Array) => bufferOf(bytes),
    responseDeserialize: (bytes: Buffer): Uint8Array => bytes,
  },
} as const satisfies grpc.ServiceDefinition;

const AGENTS_REMEMBERED_MAX = 20_000;
const STREAMS_PER_CONNECTION = 16;
const TICK_MS = 1000;
const RELOAD_MS = 10_000;
const KEEPALIVE_MS = 20_000;
/** The flow control window of HTTP/2: the default of 64 KiB would slow down an agent with a long round-trip time. */
const FLOW_CONTROL_BYTES = 1024 * 1024;

export class FleetServer implements AsyncDisposable {
  readonly port: number;
  readonly #grpc: grpc.Server;
  readonly #options: FleetServerOptions;
  readonly #limits: ServerLimits;
  readonly #health: Health;
  readonly #credentials: ReloadableCredentials | null;
  readonly #tls: TlsSource | null;
  readonly #tokens: TokenFile | null;
  /** Every stream, with its agent once that is known; null before. */
  readonly #sessions = new Map<AgentSession, string | null>();
  /** The present stream of each agent. */
  readonly #current = new Map<string, AgentSession>();
  /** By agent, a promise that resolves when all of its streams so far have ended. */
  readonly #queues = new Map<string, Promise<void>>();
  readonly #agents = new Map<string, AgentStatus>();
  readonly #streams = new Tally();
  readonly #refused = { unauthenticated: 0, limit: 0, draining: 0 };
  readonly #ticker: ReturnType<typeof setInterval>;
  readonly #reloader: ReturnType<typeof setInterval>;
  readonly #faults: SaidOnce;
  /** Faults of the store, by agent. */
  readonly #storeFaults: SaidOnce;
  #filter: FleetFilter | null;
  #windowBytes: number;
  #draining = false;
  #closed = false;

  private constructor(parts: ServerParts) {
    const { options, limits } = parts;
    this.port = parts.port;
    this.#grpc = parts.grpc;
    this.#options = options;
    this.#limits = limits;
    this.#health = parts.health;
    this.#credentials = parts.credentials;
    this.#tls = parts.tls;
    this.#tokens = parts.tokens;
    this.#faults = new SaidOnce(options.onNotice);
    this.#storeFaults = new SaidOnce(options.onNotice);
    this.#filter = options.filter ?? null;
    this.#windowBytes = windowBytes(limits, 0);
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#reloader = setInterval(() => this.reload(), options.reloadMs ?? RELOAD_MS);
    this.#health.serving = true;
  }

  /**
   * Starts to listen. @throws {Error} when options contradict each other, a file cannot be used, or the address is in
   * use
   */
  static async listen(options: FleetServerOptions): Promise<FleetServer> {
    if (options.tls === null && !options.insecure && !isLoopback(options.listen)) {
      const address = formatServerAddress(options.listen);
      throw new Error(`Cannot listen on ${address} without TLS: others could read and forge events (or --insecure)`);
    }
    if (options.tls !== null && options.tls.cert === undefined) throw new Error("Cannot serve TLS: no certificate");
    if (options.agentFromCertificate && options.tls?.ca === undefined) {
      throw new Error("Cannot tell agents by their certificates: there is no authority that signs them");
    }
    const limits = { ...LIMIT_DEFAULTS, ...options.limits };
    const tls = options.tls && new TlsSource(options.tls);
    const tokens = options.tokensFile === undefined ? null : new TokenFile(options.tokensFile);
    const credentials = tls && new ReloadableCredentials(tls.material, options.tls?.ca !== undefined);
    const server = new grpc.Server({
      "grpc.max_receive_message_length": limits.messageBytesMax,
      "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION,
      "grpc.max_connection_idle_ms": limits.idleMs,
      "grpc.keepalive_time_ms": options.keepaliveMs ?? KEEPALIVE_MS,
      "grpc.keepalive_timeout_ms": options.keepaliveMs ?? KEEPALIVE_MS,
      "grpc-node.flow_control_window": FLOW_CONTROL_BYTES,
    });
    const reflection = new Reflection(DESCRIPTOR_SET);
    const health = new Health(reflection.services);
    // Nobody can connect before the port is known, and then there is a server.
    let fleet: FleetServer | null = null;
    server.addService(FLEET_SERVICE, { stream: (call: StreamCall) => fleet!.#open(call) });
    server.addService(HEALTH_SERVICE, health.implementation);
    server.addService(REFLECTION_SERVICE, reflection.implementation);
    const port = await new Promise<number>((resolve, reject) => {
      const address = formatServerAddress(options.listen);
      server.bindAsync(address, credentials ?? grpc.ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(new Error(`Cannot listen on ${address}: ${error.message}`, { cause: error }));
        else resolve(port);
      });
    }).catch((error) => {
      server.forceShutdown();
      throw error;
    });
    fleet = new FleetServer({ port, grpc: server, options, limits, health, credentials, tls, tokens });
    return fleet;
  }

  get stats(): FleetServerStats {
    return {
      agentsConnected: this.#current.size,
      streams: this.#sessions.size,
      refused: { ...this.#refused },
      agents: [...this.#agents.values()].map((status) => ({ ...status })),
    };
  }

  /** Sets the filter, and sends it to every agent that is connected or connects later. */
  setFilter(filter: FleetFilter): void {
    this.#filter = filter;
    for (const session of this.#current.values()) session.setFilter(filter);
  }

  /** Reads the files of certificates and tokens again. A faulty file is told, and changes nothing. */
  reload(): void {
    this.#reload("tls", () => {
      if (!this.#tls?.reload()) return;
      this.#credentials?.update(this.#tls.material);
      this.#options.onNotice("New connections use the changed certificate");
    });
    this.#reload("tokens", () => {
      if (this.#tokens?.reload()) this.#options.onNotice("Tokens have changed");
    });
  }

  #reload(topic: string, reload: () => void): void {
    try {
      reload();
      this.#faults.over(topic);
    } catch (error) {
      this.#faults.say(topic, (error as Error).message);
    }
  }

  /**
   * Lets nobody in any more, asks every agent to go elsewhere, waits until what they have sent is stored and
   * acknowledged, and stops.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    this.#health.serving = false;
    for (const session of this.#sessions.keys()) session.goaway("the server stops", 1000);
    const quiet = Promise.all(Array.from(this.#sessions.keys(), ({ ended }) => ended));
    const stop = new AbortController();
    await Promise.race([quiet, delay(timeoutMs, stop)]);
    stop.abort();
    await this[Symbol.asyncDispose]();
  }

  /** Stops at once. Streams end, and batches that are not stored yet are dropped; their agents send them again. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    clearInterval(this.#reloader);
    this.#health.close();
    const sessions = [...this.#sessions.keys()];
    for (const session of sessions) session.fail(grpc.status.UNAVAILABLE, "the server stops");
    await Promise.all(sessions.map(({ ended }) => ended));
    // Streams need a turn to say their last word.
    await delay(20);
    this.#grpc.forceShutdown();
  }

  #open(call: StreamCall): void {
    const refuse = (kind: keyof FleetServerStats["refused"], code: grpc.status, details: string) => {
      this.#refused[kind]++;
      call.on("error", () => {});
      call.emit("error", { code, details });
    };
    if (this.#draining) return refuse("draining", grpc.status.UNAVAILABLE, "the server stops");
    const identity = this.#authenticate(call);
    if (identity === null) {
      return refuse("unauthenticated", grpc.status.UNAUTHENTICATED, "no valid token or certificate");
    }
    if (this.#sessions.size >= this.#limits.streamsMax) {
      return refuse("limit", grpc.status.RESOURCE_EXHAUSTED, "too many streams");
    }
    const { agent } = identity;
    const streams = agent === null ? 1 : this.#streams.add(agent);
    const session = new AgentSession(call, {
      store: this.#options.store,
      limits: this.#limits,
      filter: this.#filter,
      windowBytes: () => this.#windowBytes,
      admit: (session, hello) => this.#admit(session, hello, agent, call.getPeer()),
      faults: this.#storeFaults,
    });
    this.#sessions.set(session, null);
    session.ended.then(() => {
      if (agent !== null) this.#streams.remove(agent);
      this.#forget(session);
    });
    if (streams > this.#limits.streamsPerAgent) {
      this.#refused.limit++;
      session.fail(grpc.status.RESOURCE_EXHAUSTED, "too many streams of this agent");
    }
  }

  /**
   * Authenticates a stream. @returns the agent that it must be of, null where any agent will do; null where it is
   * refused
   */
  #authenticate(call: StreamCall): { agent: string | null } | null {
    let agent: string | null = null;
    if (this.#tokens) {
      const [authorization] = call.metadata.get("authorization");
      const token = typeof authorization === "string" ? tokenOf(authorization) : null;
      agent = token === null ? null : this.#tokens.agentOf(token);
      if (agent === null) return null;
    }
    if (this.#options.agentFromCertificate) {
      const name: unknown = call.getAuthContext().sslPeerCertificate?.subject?.CN;
      if (typeof name !== "string" || (agent !== null && agent !== name)) return null;
      agent = name;
    }
    return { agent };
  }

  async #admit(session: AgentSession, hello: Hello, mustBe: string | null, address: string): Promise<AgentStatus> {
    const agent = hello.agentId;
    if (mustBe !== null && mustBe !== agent) {
      this.#refused.unauthenticated++;
      throw { code: grpc.status.PERMISSION_DENIED, details: "token or certificate are of another agent" };
    }
    const before = this.#current.get(agent);
    this.#current.set(agent, session);
    this.#sessions.set(session, agent);
    const earlier = this.#queue(agent, session);
    before?.fail(grpc.status.ABORTED, "another stream of this agent has taken over");
    await earlier;
    const status = this.#agents.get(agent) ?? {
      agent,
      host: "",
      version: "",
      address: "",
      connected: false,
      connects: 0,
      batches: 0,
      events: 0,
      bytes: 0,
      duplicates: 0,
      throttledMs: 0,
      lastSeenUnixMs: 0,
    };
    this.#agents.set(agent, status);
    this.#forgetOldest();
    status.host = hello.host;
    status.version = hello.version;
    status.address = address;
    status.connected = true;
    status.connects++;
    status.lastSeenUnixMs = Date.now();
    return status;
  }

  /**
   * The store has one stream of an agent at a time: a third must not begin while the first is still being stored, though
   * the second is over already.
   *
   * @returns what resolves when every stream of the agent before this one is over
   */
  #queue(agent: string, session: AgentSession): Promise<void> {
    const earlier = this.#queues.get(agent) ?? Promise.resolve();
    const all = earlier.then(() => session.ended);
    this.#queues.set(agent, all);
    all.then(() => {
      if (this.#queues.get(agent) === all) this.#queues.delete(agent);
    });
    return earlier;
  }

  #forget(session: AgentSession): void {
    const agent = this.#sessions.get(session) ?? null;
    this.#sessions.delete(session);
    if (agent === null || this.#current.get(agent) !== session) return;
    this.#current.delete(agent);
    const status = this.#agents.get(agent);
    if (status) status.connected = false;
  }

  /** Forgets the agents that disconnected longest ago, because without tokens anybody may connect under any name. */
  #forgetOldest(): void {
    if (this.#agents.size <= AGENTS_REMEMBERED_MAX) return;
    for (const [agent, { connected }] of this.#agents) {
      if (connected) continue;
      this.#agents.delete(agent);
      return;
    }
  }

  #tick(): void {
    const now = performance.now();
    for (const session of this.#sessions.keys()) session.checkIdle(now);
    this.#windowBytes = windowBytes(this.#limits, this.#current.size);
    for (const session of this.#current.values()) session.setWindow(this.#windowBytes);
  }
}

interface ServerParts {
  port: number;
  grpc: grpc.Server;
  options: FleetServerOptions;
  limits: ServerLimits;
  health: Health;
  credentials: ReloadableCredentials | null;
  tls: TlsSource | null;
  tokens: TokenFile | null;
}
