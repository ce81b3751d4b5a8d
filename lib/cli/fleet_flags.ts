/** Flags of `agent` and `serve`. */
import type { StoreOptions } from "../history/history_messages.ts";
import { parseServerAddress, type ServerAddress } from "../fleet/server_address.ts";
import { choiceFlag, fileFlag, integerFlag, switchFlag, type ValueSpec } from "./flags.ts";

function addresses(text: string): ServerAddress[] | null {
  try {
    return text.split(",").map(parseServerAddress);
  } catch {
    return null;
  }
}

const TLS_FLAGS = {
  "tls-ca": fileFlag("PEM file of the authority that signs the other side's certificate"),
  "tls-cert": fileFlag("PEM file of our own certificate; read again when it changes"),
  "tls-key": fileFlag("PEM file of its key"),
};

export const AGENT_FLEET_FLAGS = {
  server: {
    value: "HOST:PORT[,...]",
    help: "where to stream to; of several, any that works",
    takes: "HOST:PORT, several separated by commas",
    fallback: [],
    parse: addresses,
  } satisfies ValueSpec<ServerAddress[]>,
  flows: choiceFlag(["top", "all"], "top", "flows of a window that are sent: the --top largest, or all up to 100000"),
  spool: {
    value: "DIR",
    help: "keep what is not acknowledged in this folder too, over restarts",
    takes: "the name of a folder",
    completes: "file",
    fallback: null,
    parse: (text: string) => text === "" ? null : text,
  } satisfies ValueSpec<string | null>,
  "spool-mb": integerFlag(
    "N",
    { min: 1, max: 1_048_576, unit: "megabytes", fallback: 256 },
    "size of that folder; when it is full the least severe goes first",
  ),
  "spool-memory-mb": integerFlag(
    "N",
    { min: 1, max: 4096, unit: "megabytes", fallback: 32 },
    "what is not acknowledged and is in memory",
  ),
  ...TLS_FLAGS,
  "tls-server-name": {
    value: "NAME",
    help: "name in the server's certificate, where it is another than the host's",
    takes: "a host name",
    fallback: null,
    parse: (text: string) => text === "" ? null : text,
  } satisfies ValueSpec<string | null>,
  "token-file": fileFlag("secret that tells the server who we are; read again at each connection"),
  insecure: switchFlag("without TLS to another host: everybody on the way can read and change what is sent"),
  "agent-id": {
    value: "NAME",
    help: "under which name to send; else one made of /etc/machine-id",
    takes: "1 to 255 visible characters",
    fallback: null,
    parse: (text: string) => /^[\x21-\x7e]{1,255}$/.test(text) ? text : null,
  } satisfies ValueSpec<string | null>,
  "flush-ms": integerFlag(
    "MS",
    { min: 0, max: 60_000, unit: "milliseconds", fallback: 1000 },
    "longest that an event waits for company; critical ones do not",
  ),
  gzip: switchFlag("compress"),
  raw: switchFlag("send each event's record as the kernel wrote it besides"),
};

const NATS_URL = /^(nats|tls):\/\/[^\s,/]+$/;

export const SERVE_FLEET_FLAGS = {
  "listen-grpc": {
    value: "HOST:PORT",
    help: "where agents connect; without TLS on this machine only",
    takes: "HOST:PORT, port 0 for any",
    fallbackText: "127.0.0.1:9465",
    fallback: { host: "127.0.0.1", port: 9465 },
    parse: (text: string) => {
      const free = /^(.+):0$/.exec(text);
      const [address] = addresses(free ? `${free[1]}:1` : text) ?? [null];
      return address && { host: address.host, port: free ? 0 : address.port };
    },
  } satisfies ValueSpec<ServerAddress>,
  ...TLS_FLAGS,
  "tokens-file": fileFlag("who may stream: lines of AGENT and the SHA-256 of its token; read again when it changes"),
  "agent-from-certificate": switchFlag("an agent's name must be the common name of its certificate"),
  insecure: switchFlag("listen without TLS on other addresses than this machine's own"),
  store: {
    value: "FILE|off",
    help: "database of what agents send",
    takes: "the name of a file, or off",
    completes: "file",
    fallbackText: "ebpfmon-fleet.db",
    fallback: "ebpfmon-fleet.db",
    parse: (text: string) => text === "" ? null : text,
  } satisfies ValueSpec<StoreOptions["path"]>,
  "store-max-mb": integerFlag(
    "N",
    { min: 16, max: 1_048_576, unit: "megabytes", fallback: 1024 },
    "size of the database; the oldest batches go first",
  ),
  "agent-events-per-second": integerFlag(
    "N",
    { min: 0, max: 10_000_000, unit: "events a second", fallback: 0 },
    "what one agent may send in the long run; 0 for any number",
  ),
  "agent-filter": fileFlag("what agents are to send, as YAML or JSON; read again on SIGHUP"),
  "correlation-rules": fileFlag("rules that take the place of, or stand beside, the built-in ones"),
  "correlation-lateness": integerFlag(
    "MS",
    { min: 100, max: 600_000, unit: "milliseconds", fallback: 5000 },
    "how much later than newer ones an event may come",
  ),
  "correlation-idle": integerFlag(
    "MS",
    { min: 1000, max: 3_600_000, unit: "milliseconds", fallback: 60_000 },
    "how long a silent host holds up groups",
  ),
  nats: {
    value: "nats://HOST:PORT[,...]",
    help: "share the work: batches go to this JetStream, and correlation reads them there",
    takes: "nats://HOST:PORT or tls://HOST:PORT, several separated by commas",
    fallback: [],
    parse: (text: string) => {
      const urls = text.split(",");
      return urls.every((url) => NATS_URL.test(url)) ? urls : null;
    },
  } satisfies ValueSpec<string[]>,
  "nats-tls-ca": fileFlag("PEM file of the authority that signs the certificates of NATS"),
  "nats-tls-cert": fileFlag("PEM file of our certificate for NATS"),
  "nats-tls-key": fileFlag("PEM file of its key"),
  "nats-creds": fileFlag("credentials for NATS, as nsc writes them"),
  "nats-replicas": integerFlag(
    "N",
    { min: 1, max: 5, unit: "nodes", fallback: 1 },
    "nodes that keep each message; 3 survive the loss of one",
  ),
  "nats-partitions": integerFlag(
    "N",
    { min: 1, max: 64, unit: "partitions", fallback: 8 },
    "parts that workers share; the same for all of them",
  ),
  "nats-max-mb": integerFlag(
    "N",
    { min: 16, max: 1_048_576, unit: "megabytes", fallback: 1024 },
    "size of the stream of batches; the oldest go first",
  ),
  "correlate-only": switchFlag("take no agents and store nothing: correlate what is in --nats"),
  "no-correlate": switchFlag("leave correlation to other workers on --nats"),
};
