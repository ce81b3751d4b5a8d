/** `ebpfmon serve`: its flags, and the options that they become. */
import { BUILTIN_CORRELATION_RULES } from "../../fleet/correlation/builtin_rules.ts";
import { parseCorrelationRules, withBuiltin } from "../../fleet/correlation/rules.ts";
import { parseAgentFilter } from "../../fleet/server/agent_filter.ts";
import type { NatsOptions } from "../../fleet/server/nats/streams.ts";
import type { FleetStoreOptions } from "../../fleet/server/store_messages.ts";
import { formatServerAddress, isLoopback, type ServerAddress } from "../../fleet/server_address.ts";
import { command, type OptionsOf } from "../command.ts";
import { parseServerAddresses, TLS_FLAGS, tlsFiles } from "../flags/fleet.ts";
import {
  fileFlag,
  type FlagValues,
  integerFlag,
  listenFlag,
  megabytesFlag,
  switchFlag,
  valueFlag,
} from "../flags/kinds.ts";
import { CONFIG_FLAG, DURATION_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";
import { parseFile, type UsageContext } from "../flags/usage.ts";

const FLOW_ROWS_MAX = 2_000_000;
const GROUPS_MAX = 100_000;

/** Where agents connect, and how they and this server know each other. */
const GRPC_FLAGS = {
  listenGrpc: valueFlag<ServerAddress>({
    name: "listen-grpc",
    value: "HOST:PORT",
    help: "address that agents connect to; without TLS on this machine only",
    takes: "HOST:PORT, port 0 for any",
    fallbackText: "127.0.0.1:9465",
    fallback: { host: "127.0.0.1", port: 9465 },
    parse: (text: string) => {
      const free = /^(.+):0$/.exec(text);
      const address = parseServerAddresses(free ? `${free[1]}:1` : text)?.[0];
      return address && { host: address.host, port: free ? 0 : address.port };
    },
  }),
  ...TLS_FLAGS,
  tokensFile: fileFlag(
    "tokens-file",
    "who may stream: lines of AGENT and the SHA-256 of its token; read again when it changes",
  ),
  agentFromCertificate: switchFlag(
    "agent-from-certificate",
    "an agent's name must be the common name of its certificate",
  ),
  insecure: switchFlag("insecure", "listen without TLS on other addresses than this machine's own"),
};

/** Where the batches of agents are stored; a null path is nowhere. */
const STORE_FLAGS = {
  storePath: valueFlag<string | null>({
    name: "store",
    value: "FILE|off",
    help: "database of what agents send",
    takes: "the name of a file, or off",
    completes: "file",
    fallbackText: "ebpfmon-fleet.db",
    fallback: "ebpfmon-fleet.db",
    parse: (text: string) => text === "" ? undefined : text === "off" ? null : text,
  }),
  storeBytesMax: megabytesFlag(
    "store-max-mb",
    { min: 16, max: 1_048_576, fallback: 1024 },
    "size of the database; the oldest batches go first",
  ),
};

const CORRELATION_FLAGS = {
  correlationRulesFile: fileFlag(
    "correlation-rules",
    "rules that take the place of, or stand beside, the built-in ones",
  ),
  latenessMs: integerFlag(
    "correlation-lateness",
    "MS",
    { min: 100, max: 600_000, unit: "milliseconds", fallback: 5000 },
    "how much later than newer events an event may arrive",
  ),
  idleMs: integerFlag(
    "correlation-idle",
    "MS",
    { min: 1000, max: 3_600_000, unit: "milliseconds", fallback: 60_000 },
    "how long groups wait for a host that sends nothing",
  ),
};

const NATS_URL = /^(nats|tls):\/\/[^\s,/]+$/;

/** The log that several servers share. */
const NATS_FLAGS = {
  natsServers: valueFlag<string[]>({
    name: "nats",
    value: "nats://HOST:PORT[,...]",
    help: "share the work: batches go to this JetStream, and correlation reads them there",
    takes: "nats://HOST:PORT or tls://HOST:PORT, several separated by commas",
    fallback: [],
    parse: (text: string) => {
      const urls = text.split(",");
      return urls.every((url) => NATS_URL.test(url)) ? urls : undefined;
    },
  }),
  natsCa: fileFlag("nats-tls-ca", "PEM file of the authority that signs the certificates of NATS"),
  natsCert: fileFlag("nats-tls-cert", "PEM file of our certificate for NATS"),
  natsKey: fileFlag("nats-tls-key", "PEM file of its key"),
  natsCredentialsFile: fileFlag("nats-creds", "credentials for NATS, as nsc writes them"),
  natsReplicas: integerFlag(
    "nats-replicas",
    "N",
    { min: 1, max: 5, unit: "nodes", fallback: 1 },
    "nodes that keep each message; 3 survive the loss of one",
  ),
  natsPartitions: integerFlag(
    "nats-partitions",
    "N",
    { min: 1, max: 64, unit: "partitions", fallback: 8 },
    "parts of the work that workers share; the same number for all workers",
  ),
  natsBytesMax: megabytesFlag(
    "nats-max-mb",
    { min: 16, max: 1_048_576, fallback: 1024 },
    "size of the stream of batches; the oldest go first",
  ),
};

/** What this server leaves to others. */
const ROLE_FLAGS = {
  correlateOnly: switchFlag("correlate-only", "take no agents and store nothing: correlate what is in --nats"),
  noCorrelate: switchFlag("no-correlate", "leave correlation to other workers on --nats"),
};

const FLAGS = {
  ...OUTPUT_FLAGS,
  listen: listenFlag("listen", { hostname: "127.0.0.1", port: 9466 }, "address of the HTTP server"),
  ...GRPC_FLAGS,
  ...STORE_FLAGS,
  eventsPerSecond: integerFlag(
    "agent-events-per-second",
    "N",
    { min: 0, max: 10_000_000, unit: "events a second", fallback: 0 },
    "what one agent may send in the long run; 0 for any number",
  ),
  agentFilterFile: fileFlag("agent-filter", "what agents are to send, as YAML or JSON; read again on SIGHUP"),
  ...CORRELATION_FLAGS,
  ...NATS_FLAGS,
  ...ROLE_FLAGS,
  ...DURATION_FLAG,
  ...CONFIG_FLAG,
};

type Values = FlagValues<typeof FLAGS>;

/** @throws {UsageError} when what this server leaves to others leaves nothing, or needs them and there are none */
function checkRole(nats: NatsOptions | null, values: Values, { wrong }: UsageContext): void {
  const { correlateOnly, noCorrelate, storePath } = values;
  if (nats === null && correlateOnly) throw wrong("--correlate-only takes --nats URL");
  if (nats === null && noCorrelate) throw wrong("--no-correlate takes --nats URL");
  if (correlateOnly && noCorrelate) throw wrong("--correlate-only and --no-correlate leave nothing to do");
  if (nats === null && storePath === null) throw wrong("--store off takes --nats URL: batches have to be somewhere");
}

function natsOptions(values: Values, context: UsageContext): NatsOptions | null {
  if (values.natsServers.length === 0) return null;
  return {
    servers: values.natsServers,
    tls: tlsFiles({ ca: values.natsCa, cert: values.natsCert, key: values.natsKey }, context, "nats-"),
    credentialsFile: values.natsCredentialsFile,
    replicas: values.natsReplicas,
    partitions: values.natsPartitions,
    bytesMax: values.natsBytesMax,
  };
}

/** @returns null where no agents are received @throws {UsageError} when others could listen in */
function grpcOptions(values: Values, context: UsageContext) {
  if (values.correlateOnly) return null;
  const { listenGrpc: listen, ca, cert, key, tokensFile, agentFromCertificate, insecure, eventsPerSecond } = values;
  const tls = tlsFiles({ ca, cert, key }, context);
  if (tls !== null && tls.cert === undefined) throw context.wrong("--tls-ca takes --tls-cert and --tls-key");
  if (tls === null && !isLoopback(listen) && !insecure) {
    const address = formatServerAddress(listen);
    throw context.wrong(`${address} is open to others: give --tls-cert and --tls-key, or --insecure`);
  }
  if (agentFromCertificate && tls?.ca === undefined) throw context.wrong("--agent-from-certificate takes --tls-ca");
  return { listen, tls, tokensFile, agentFromCertificate, insecure, eventsPerSecond };
}

/** @returns null where this server stores nothing */
function storeOptions({ storePath: path, storeBytesMax: bytesMax, correlateOnly }: Values): FleetStoreOptions | null {
  if (path === null || correlateOnly) return null;
  return { path, bytesMax, flowRowsMax: FLOW_ROWS_MAX, groupsMax: GROUPS_MAX };
}

/** @returns null where agents send all */
function agentFilterOptions({ agentFilterFile: file }: Values, context: UsageContext) {
  if (file === null) return null;
  return { file, filter: parseFile(file, "agent-filter", context, (text) => parseAgentFilter(text, file)) };
}

/** @returns null where nothing is correlated here */
function correlationOptions(values: Values, context: UsageContext) {
  if (values.noCorrelate) return null;
  const { correlationRulesFile: file, latenessMs, idleMs } = values;
  const own = file === null
    ? []
    : parseFile(file, "correlation-rules", context, (text) => parseCorrelationRules(text, file));
  return {
    rules: withBuiltin(own, BUILTIN_CORRELATION_RULES),
    // A record of a clock that is further ahead would make the records of other hosts late.
    options: { latenessMs, idleMs, aheadMaxMs: idleMs },
  };
}

export const serve = command({
  summary: "receive what agents stream, store it, and correlate events of all hosts",
  description:
    "Takes the streams of agents, acknowledges what is on disk, and correlates events of all hosts to groups, which it\n" +
    "shows over HTTP and sends as traces where OTEL_EXPORTER_OTLP_ENDPOINT says. With --nats several servers and\n" +
    "workers share the work, and any of them may die.",
  positionals: {},
  flags: FLAGS,
  examples: [
    ["ebpfmon serve", "agents of this machine, at 127.0.0.1:9465"],
    [
      "ebpfmon serve --listen-grpc 0.0.0.0:9465 --tls-cert server.pem --tls-key server.key --tokens-file tokens",
      "a fleet, with TLS and a token for each agent",
    ],
    ["ebpfmon serve --nats nats://127.0.0.1:4222 --correlate-only", "one more worker for correlation"],
  ],
  options(values, context) {
    const nats = natsOptions(values, context);
    checkRole(nats, values, context);
    const { json, quiet, debug, listen, durationSeconds } = values;
    return {
      ...{ json, quiet, debug, listen, durationSeconds },
      grpc: grpcOptions(values, context),
      store: storeOptions(values),
      agentFilter: agentFilterOptions(values, context),
      correlation: correlationOptions(values, context),
      nats,
    };
  },
});

export type ServeOptions = OptionsOf<typeof serve>;
