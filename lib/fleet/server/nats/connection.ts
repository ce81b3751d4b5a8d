/** The connection to NATS, and the streams that a fleet needs there. */
import {
  DiscardPolicy,
  jetstream,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type PubAck,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { connect, credsAuthenticator, nanos, type NatsConnection } from "@nats-io/transport-node";
import { TlsSource } from "../../tls.ts";
import {
  BATCH_STREAM,
  BATCH_SUBJECT,
  GROUP_STREAM,
  GROUP_SUBJECT,
  LEASE_STREAM,
  LEASE_SUBJECT,
  type NatsOptions,
  STATE_STREAM,
  STATE_SUBJECT,
} from "./streams.ts";

/** Batches that nobody has read for so long are of no use to correlation. */
const BATCH_KEEP_MS = 6 * 3_600_000;
const GROUP_KEEP_MS = 7 * 86_400_000;
const GROUP_BYTES_MAX = 256_000_000;
/** What a server repeats it repeats soon: after a lost acknowledgement, or where it takes over from another. */
const DUPLICATE_MS = 10 * 60_000;
/** A worker that has not renewed its leases for so long is gone. */
export const LEASE_MS = 5000;
const RECONNECT_MS = 250;
const REQUEST_MS = 5000;
const CONSUMER_MS = 2000;

export class NatsLink implements AsyncDisposable {
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  /** Asks less patiently: a consumer may be given to a node that has just died, and then nobody answers. */
  readonly consumers: JetStreamManager["consumers"];
  #connected = true;

  private constructor(
    parts: {
      connection: NatsConnection;
      client: JetStreamClient;
      manager: JetStreamManager;
      consumers: JetStreamManager["consumers"];
    },
    notice: (text: string) => void,
  ) {
    this.connection = parts.connection;
    this.client = parts.client;
    this.manager = parts.manager;
    this.consumers = parts.consumers;
    void this.#follow(notice);
    globalThis.addEventListener("error", ignoreLostSocket);
  }

  /** @throws {Error} when there is no connection, or JetStream does not take the streams */
  static async open(options: NatsOptions, notice: (text: string) => void): Promise<NatsLink> {
    const servers = options.servers.join(", ");
    let connection: NatsConnection;
    try {
      connection = await connect(connectOptions(options));
    } catch (error) {
      const why = (error as Error).message;
      // A certificate that NATS does not accept ends in silence.
      const hint = why === "timeout" && options.tls !== null ? ", as when it does not accept our certificate" : "";
      throw new Error(`Cannot connect to ${servers}: ${why}${hint}`, { cause: error });
    }
    try {
      const client = jetstream(connection, { timeout: REQUEST_MS });
      const manager = await jetstreamManager(connection, { timeout: REQUEST_MS });
      for (const stream of streamsOf(options)) await ensure(manager, stream);
      const { consumers } = await jetstreamManager(connection, { timeout: CONSUMER_MS, checkAPI: false });
      return new NatsLink({ connection, client, manager, consumers }, notice);
    } catch (error) {
      await connection.close();
      throw new Error(`Cannot use JetStream at ${servers}: ${(error as Error).message}`, { cause: error });
    }
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Longest message. */
  get payloadBytesMax(): number {
    return this.connection.info?.max_payload ?? 1024 * 1024;
  }

  /** Publishes to a stream. @throws {Error} when the stream does not have it, as far as we know */
  async publish(...message: Parameters<JetStreamClient["publish"]>): Promise<PubAck> {
    try {
      return await this.client.publish(...message);
    } catch (error) {
      throw isLeaderless(error) ? new Error(whyNot(error), { cause: error }) : error;
    }
  }

  async #follow(notice: (text: string) => void): Promise<void> {
    for await (const status of this.connection.status()) {
      // Each attempt that fails is another "disconnect", and one that succeeds at last is told as often.
      if (status.type === "disconnect" && this.#connected) {
        this.#connected = false;
        notice("no connection to NATS: agents keep what they have until there is one");
      } else if (status.type === "reconnect" && !this.#connected) {
        this.#connected = true;
        notice(`connected to NATS at ${status.server}`);
      }
    }
    this.#connected = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
    globalThis.removeEventListener("error", ignoreLostSocket);
  }
}

/** The client takes its listeners off a socket that was refused, and what that socket says afterwards nobody hears. */
function ignoreLostSocket(event: ErrorEvent): void {
  if (event.error?.code === "ECONNRESET") event.preventDefault();
}

/** To the client a stream without a leader, as while its nodes choose one, looks like one without JetStream. */
function isLeaderless(error: unknown): boolean {
  return error instanceof Error && error.name === "JetStreamNotEnabled";
}

/** In words that say what to look at. */
export function whyNot(error: unknown): string {
  return isLeaderless(error) ? "no node of NATS answers for the stream" : (error as Error).message;
}

/** The credentials in a file, as they were last where it is missing just now: it is being replaced. @throws at first */
function credentialsSource(file: string): () => Uint8Array {
  let last = Deno.readFileSync(file);
  return () => {
    try {
      last = Deno.readFileSync(file);
    } catch {
      // The next attempt to connect looks again.
    }
    return last;
  };
}

/** Certificates and credentials are read from their files at each attempt to connect: they may have been replaced. */
function connectOptions({ servers, tls, credentialsFile }: NatsOptions): Parameters<typeof connect>[0] {
  // What cannot be used is better said at the start, and with its path.
  if (tls !== null) new TlsSource(tls);
  return {
    servers,
    name: "ebpfmon serve",
    maxReconnectAttempts: -1,
    // Who is refused may be let in later: by other credentials, or by a server that has learned of ours.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: RECONNECT_MS,
    pingInterval: 5000,
    timeout: REQUEST_MS,
    ...credentialsFile !== null && { authenticator: credsAuthenticator(credentialsSource(credentialsFile)) },
    ...tls !== null && { tls: { caFile: tls.ca, certFile: tls.cert, keyFile: tls.key } },
  };
}

type Stream = Pick<StreamConfig, "name" | "subjects" | "num_replicas"> & Partial<StreamConfig>;

function streamsOf({ replicas, bytesMax }: NatsOptions): Stream[] {
  const shared = {
    num_replicas: replicas,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
  };
  return [
    {
      ...shared,
      name: BATCH_STREAM,
      subjects: [`${BATCH_SUBJECT}.>`],
      max_bytes: bytesMax,
      max_age: nanos(BATCH_KEEP_MS),
      duplicate_window: nanos(DUPLICATE_MS),
    },
    {
      ...shared,
      name: GROUP_STREAM,
      subjects: [`${GROUP_SUBJECT}.>`],
      max_bytes: GROUP_BYTES_MAX,
      max_age: nanos(GROUP_KEEP_MS),
      duplicate_window: nanos(DUPLICATE_MS),
    },
    { ...shared, name: STATE_STREAM, subjects: [`${STATE_SUBJECT}.>`], max_msgs_per_subject: 1 },
    {
      ...shared,
      name: LEASE_STREAM,
      subjects: [`${LEASE_SUBJECT}.>`],
      max_msgs_per_subject: 1,
      max_age: nanos(LEASE_MS),
      duplicate_window: nanos(1000),
    },
  ];
}

/** Makes a stream where there is none; one that is there keeps its settings. */
async function ensure(manager: JetStreamManager, stream: Stream): Promise<void> {
  const exists = await manager.streams.info(stream.name).then(() => true, () => false);
  if (exists) return;
  try {
    await manager.streams.add(stream);
  } catch (error) {
    // Another server may have been faster.
    const made = await manager.streams.info(stream.name).then(() => true, () => false);
    if (!made) throw error;
  }
}
