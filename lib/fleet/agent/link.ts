/**
 * Keeps a stream open to one of the servers and the spool flowing into it, for as long as the agent runs: after any
 * failure it waits, longer each time, and tries any server that has not failed lately.
 */
import * as grpc from "@grpc/grpc-js";
import { checkServerIdentity } from "node:tls";
import type { Position } from "../codec.ts";
import type { AgentIdentity } from "../agent_identity.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { SaidOnce } from "../said_once.ts";
import { formatServerAddress, isIpAddress, isLoopback, type ServerAddress } from "../server_address.ts";
import { type TlsFiles, TlsSource } from "../tls.ts";
import { bearer, readToken } from "../token.ts";
import { delay } from "../../runtime/timers.ts";
import { LinkSession, type SessionEnd } from "./link_session.ts";
import { type PooledServer, ServerPool } from "./server_pool.ts";
import type { Spool } from "./spool.ts";

export interface LinkOptions {
  servers: ServerAddress[];
  identity: AgentIdentity;
  /** Certificates; null for plaintext, which is refused except to loopback addresses or with `insecure`. */
  tls: (TlsFiles & { /** Of the server's certificate, where it is not the host's. */ serverName?: string }) | null;
  insecure?: boolean;
  /** Path of the file with the bearer token. */
  tokenFile?: string;
  gzip?: boolean;
  backoff?: { firstMs: number; maxMs: number };
  keepaliveMs?: number;
  answerMs?: number;
  /** The longest that the agent waits for acknowledgements when it stops. */
  drainMs?: number;
  /** How often certificate files are checked for changes. */
  tlsCheckMs?: number;
  onFilter?: (filter: FleetFilter) => void;
  onAcknowledged?: (positions: Position[]) => void;
  /** Is told failures, one line each. A failure that repeats is told once. */
  onNotice: (notice: string) => void;
}

export interface LinkStats {
  connected: boolean;
  /** `HOST:PORT` of the present stream, or of the last one; empty before the first. */
  server: string;
  sentBatches: number;
  sentEvents: number;
  /** Streams that were opened, without the first one. */
  reconnects: number;
  /** Streams and attempts to connect that failed. */
  failures: number;
  lastSentUnixMs: number | null;
  inFlightBytes: number;
  windowBytes: number;
  /** True where more bytes wait than the server accepts now, so that the agent should send fewer debug events. */
  congested: boolean;
  lastError: string | null;
}

const DEFAULTS = {
  backoff: { firstMs: 250, maxMs: 30_000 },
  keepaliveMs: 10_000,
  answerMs: 20_000,
  drainMs: 5000,
  tlsCheckMs: 30_000,
};

/** A stream that lasted for this long counts as a success of its server. */
const STABLE_MS = 10_000;
const TLS_TOPIC = "tls";
/** The server name in TLS for a server without a host name; a reserved name, which nobody owns. */
const NO_NAME = "address.invalid";
const RECEIVE_BYTES_MAX = 1024 * 1024;

export class AgentLink {
  readonly #spool: Spool;
  readonly #options: LinkOptions & typeof DEFAULTS;
  readonly #pool: ServerPool;
  readonly #tls: TlsSource | null;
  #session: LinkSession | null = null;
  #wakeUp = false;
  #connectedOnce = false;
  readonly #notices: SaidOnce;
  #stats = {
    server: "",
    sentBatches: 0,
    sentEvents: 0,
    reconnects: 0,
    failures: 0,
    lastSentUnixMs: null as number | null,
    lastError: null as string | null,
  };

  /** @throws when the options do not go together, or a file cannot be used */
  constructor(spool: Spool, options: LinkOptions) {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#spool = spool;
    this.#options = { ...DEFAULTS, ...options, ...given };
    this.#notices = new SaidOnce(options.onNotice);
    this.#pool = new ServerPool(options.servers, this.#options.backoff);
    this.#tls = options.tls && new TlsSource(options.tls);
    const exposed = options.servers.find((server) => !isLoopback(server));
    if (options.tls === null && exposed && !options.insecure) {
      const address = formatServerAddress(exposed);
      throw new Error(`Cannot connect to ${address}: it is not on this host, and there is no TLS (or --insecure)`);
    }
    if (options.tokenFile !== undefined) readToken(options.tokenFile);
  }

  get stats(): LinkStats {
    const windowBytes = this.#session?.windowBytes ?? 0;
    const inFlightBytes = this.#session?.inFlightBytes ?? 0;
    const nextBytes = this.#spool.nextBytes() ?? 0;
    return {
      ...this.#stats,
      connected: this.#session?.welcomed ?? false,
      inFlightBytes,
      windowBytes,
      congested: nextBytes > 0 && inFlightBytes + nextBytes > windowBytes,
    };
  }

  /** The spool has something new. Many calls in one turn cost one look. */
  wake(): void {
    if (this.#wakeUp || this.#session === null) return;
    this.#wakeUp = true;
    queueMicrotask(() => {
      this.#wakeUp = false;
      this.#session?.pump();
    });
  }

  /**
   * Runs until `signal` says stop, and then, where there is a stream or one is being opened, until the spool is empty or
   * `drainMs` have passed.
   */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const server = this.#pool.pick(performance.now());
      if ("waitMs" in server) await delay(server.waitMs, { signal });
      else await this.#connect(server, signal);
    }
  }

  async #connect(server: PooledServer, signal: AbortSignal): Promise<void> {
    const address = formatServerAddress(server.address);
    let client: grpc.Client;
    let metadata: grpc.Metadata;
    try {
      metadata = this.#metadata();
      client = this.#client(server.address);
    } catch (error) {
      this.#failed(server, address, (error as Error).message, 0);
      return;
    }
    const startMs = performance.now();
    this.#stats.server = address;
    const session = new LinkSession(client, this.#spool, {
      identity: this.#options.identity,
      metadata,
      answerMs: this.#options.answerMs,
      drainMs: this.#options.drainMs,
      onWelcome: (held) => {
        if (this.#connectedOnce) this.#stats.reconnects++;
        this.#connectedOnce = true;
        if (this.#stats.lastError !== null) this.#options.onNotice(`Connected to ${address}`);
        this.#stats.lastError = null;
        this.#notices.over(address);
        this.#options.onAcknowledged?.(held);
      },
      onSent: (_, events) => {
        this.#stats.sentBatches++;
        this.#stats.sentEvents += events;
        this.#stats.lastSentUnixMs = Date.now();
      },
      onAcknowledged: (positions) => {
        this.#pool.worked(server);
        this.#options.onAcknowledged?.(positions);
      },
      onFilter: (filter) => this.#options.onFilter?.(filter),
      onNotice: this.#options.onNotice,
    });
    this.#session = session;
    const stopping = this.#stopWith(session, signal);
    const renewal = setInterval(() => this.#renew(session), this.#options.tlsCheckMs);
    let end: SessionEnd;
    try {
      end = await session.ended;
    } finally {
      stopping();
      clearInterval(renewal);
      this.#session = null;
      this.#spool.rewind();
      // A channel that is closed before its last call has let go of the connection keeps it for ten seconds more.
      await delay(0);
      client.close();
    }
    // One that was quiet all the time has worked too.
    if (performance.now() - startMs > STABLE_MS) this.#pool.worked(server);
    if (!end.finished) this.#failed(server, address, end.reason, end.goawayMs ?? 0);
  }

  /** @returns what undoes it */
  #stopWith(session: LinkSession, signal: AbortSignal): () => void {
    let deadline: ReturnType<typeof setTimeout> | undefined;
    let poll: ReturnType<typeof setInterval> | undefined;
    const stop = () => {
      if (!session.welcomed && this.#spool.nextBytes() === null) return session.abort("stopped");
      deadline = setTimeout(() => session.abort("stopped"), this.#options.drainMs);
      const finishWhenEmpty = () => {
        if (this.#spool.nextBytes() === null) session.finish("stopped");
      };
      finishWhenEmpty();
      poll = setInterval(finishWhenEmpty, 10);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    return () => {
      signal.removeEventListener("abort", stop);
      clearTimeout(deadline);
      clearInterval(poll);
    };
  }

  #failed(server: PooledServer, address: string, reason: string, leastMs: number): void {
    this.#pool.failed(server, performance.now(), leastMs);
    this.#stats.failures++;
    this.#stats.lastError = `${address}: ${reason}`;
    this.#notices.say(address, `Not connected to ${address}: ${reason}; trying again`);
  }

  /**
   * When certificates were replaced, ends the stream in order, and begins the next one with the new certificates at
   * once.
   */
  #renew(session: LinkSession): void {
    if (this.#reloadTls()) session.finish("certificates have changed");
  }

  /** @returns whether certificates have changed; what cannot be used now leaves the old ones in place */
  #reloadTls(): boolean {
    try {
      const changed = this.#tls?.reload() ?? false;
      this.#notices.over(TLS_TOPIC);
      return changed;
    } catch (error) {
      this.#notices.say(TLS_TOPIC, (error as Error).message);
      return false;
    }
  }

  #metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (this.#options.tokenFile !== undefined) {
      metadata.set("authorization", bearer(readToken(this.#options.tokenFile)));
    }
    return metadata;
  }

  #client(address: ServerAddress): grpc.Client {
    const channelOptions: grpc.ChannelOptions = {
      "grpc.keepalive_time_ms": this.#options.keepaliveMs,
      "grpc.keepalive_timeout_ms": Math.min(this.#options.keepaliveMs, 5000),
      "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
      "grpc.max_send_message_length": -1,
      // The spool repeats what has to be repeated.
      "grpc.enable_retries": 0,
      // A connection of its own, with the certificates of this moment.
      "grpc.use_local_subchannel_pool": 1,
      // A channel that failed is not used again: it need not stay long to wait for its next attempt.
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 50,
    };
    if (this.#options.gzip) channelOptions["grpc.default_compression_algorithm"] = grpc.compressionAlgorithms.gzip;
    return new grpc.Client(formatServerAddress(address), this.#credentials(address, channelOptions), channelOptions);
  }

  #credentials(address: ServerAddress, channelOptions: grpc.ChannelOptions): grpc.ChannelCredentials {
    if (this.#tls === null) return grpc.credentials.createInsecure();
    this.#reloadTls();
    const { ca, key, cert } = this.#tls.material;
    const serverName = this.#options.tls?.serverName;
    if (serverName !== undefined || isIpAddress(address)) {
      channelOptions["grpc.ssl_target_name_override"] = serverName ?? NO_NAME;
    }
    // TLS asks for servers by name only; an address is looked for in the certificate that comes back.
    return grpc.credentials.createSsl(ca, key, cert, {
      checkServerIdentity: (_, certificate) => checkServerIdentity(serverName ?? address.host, certificate),
    });
  }
}
