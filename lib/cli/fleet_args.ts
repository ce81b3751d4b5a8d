/** From the flags of `agent` and `serve` to what they are to do. */
import type { LinkOptions } from "../fleet/agent/link.ts";
import type { FleetFilter } from "../fleet/fleet_filter.ts";
import { formatServerAddress, isLoopback, type ServerAddress } from "../fleet/server_address.ts";
import type { TlsFiles } from "../fleet/tls.ts";
import type { ListenAddress } from "../net/listen_address.ts";
import { parseAgentFilter } from "../fleet/server/agent_filter.ts";
import { BUILTIN_CORRELATION_RULES } from "../fleet/correlation/builtin_rules.ts";
import type { CorrelationOptions, CorrelationRule } from "../fleet/correlation/correlated_group.ts";
import { parseCorrelationRules, withBuiltin } from "../fleet/correlation/rules.ts";
import type { NatsOptions } from "../fleet/server/nats/streams.ts";
import type { FleetStoreOptions } from "../fleet/server/store_messages.ts";
import type { AttachOptions, OutputOptions } from "./args.ts";
import type { COMMANDS } from "./commands.ts";
import type { RuleSource } from "./event_run.ts";
import type { FlagValues } from "./flags.ts";

const BYTES_PER_MB = 1_000_000;
/** `--flows all`. */
const FLOWS_MAX = 100_000;
const FLOW_ROWS_MAX = 2_000_000;
const GROUPS_MAX = 100_000;

/** What both kinds of agents' options share with their flags. */
interface AgentFleetOptions {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  topMax: number;
  /** Validated; empty for none. */
  filter: string;
  /** null: changes over HTTP are for this machine only. */
  apiTokenFile: string | null;
  /** null: made of the machine's. */
  agentId: string | null;
  flushMs: number;
  memoryBytesMax: number;
  /** null: what is not acknowledged is in memory only. */
  spool: { path: string; bytesMax: number } | null;
  /** Events' records too, as the kernel wrote them. */
  raw: boolean;
  link: Pick<LinkOptions, "servers" | "tls" | "insecure" | "tokenFile" | "gzip">;
}

export interface AgentOptions extends OutputOptions, AttachOptions, AgentFleetOptions {
  rules: RuleSource;
}

export interface ServeFleetOptions {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  durationSeconds: number | null;
  /** null: no agents are received. */
  grpc: {
    listen: ServerAddress;
    tls: TlsFiles | null;
    insecure: boolean;
    tokensFile: string | null;
    agentFromCertificate: boolean;
    eventsPerSecond: number;
  } | null;
  /** null: nothing is stored. */
  store: FleetStoreOptions | null;
  /** null: agents send all. */
  agentFilter: { file: string; filter: Omit<FleetFilter, "generation"> } | null;
  /** null: nothing is correlated here. */
  correlation: { rules: CorrelationRule[]; options: Partial<CorrelationOptions> } | null;
  /** null: this server works by itself. */
  nats: NatsOptions | null;
}

export interface ServeOptions extends OutputOptions, ServeFleetOptions {}

type Wrong = (mistake: string) => Error;
type TlsFlags = { "tls-ca": string | null; "tls-cert": string | null; "tls-key": string | null };

export function agentOptions(values: FlagValues<typeof COMMANDS.agent.flags>, wrong: Wrong): AgentFleetOptions {
  const servers = values.server;
  if (servers.length === 0) throw wrong("--server HOST:PORT is missing");
  const tls = tlsFiles(values, wrong);
  const exposed = servers.find((server) => !isLoopback(server));
  if (tls === null && exposed !== undefined && !values.insecure) {
    const address = formatServerAddress(exposed);
    throw wrong(`${address} is another host: give --tls-ca FILE, or --insecure to send without TLS`);
  }
  const serverName = values["tls-server-name"];
  return {
    listen: values.listen === "off" ? null : values.listen,
    durationSeconds: values.duration,
    topMax: values.flows === "all" ? FLOWS_MAX : values.top,
    filter: values.filter,
    apiTokenFile: values["api-token-file"],
    agentId: values["agent-id"],
    flushMs: values["flush-ms"],
    memoryBytesMax: values["spool-memory-mb"] * BYTES_PER_MB,
    raw: values.raw,
    spool: values.spool === null ? null : { path: values.spool, bytesMax: values["spool-mb"] * BYTES_PER_MB },
    link: {
      servers,
      tls: tls && { ...tls, ...serverName !== null && { serverName } },
      insecure: values.insecure,
      gzip: values.gzip,
      ...values["token-file"] !== null && { tokenFile: values["token-file"] },
    },
  };
}

export function serveOptions(
  values: FlagValues<typeof COMMANDS.serve.flags>,
  wrong: Wrong,
  readFile: (path: string) => string,
): ServeFleetOptions {
  const nats = natsOptions(values, wrong);
  if (nats === null && values["correlate-only"]) throw wrong("--correlate-only takes --nats URL");
  if (nats === null && values["no-correlate"]) throw wrong("--no-correlate takes --nats URL");
  if (values["correlate-only"] && values["no-correlate"]) {
    throw wrong("--correlate-only and --no-correlate leave nothing to do");
  }
  if (nats === null && values.store === "off") {
    throw wrong("--store off takes --nats URL: batches have to be somewhere");
  }
  const stores = values.store !== "off" && !values["correlate-only"];
  return {
    listen: values.listen === "off" ? null : values.listen,
    durationSeconds: values.duration,
    grpc: values["correlate-only"] ? null : grpcOptions(values, wrong),
    store: stores
      ? {
        path: values.store,
        bytesMax: values["store-max-mb"] * BYTES_PER_MB,
        flowRowsMax: FLOW_ROWS_MAX,
        groupsMax: GROUPS_MAX,
      }
      : null,
    agentFilter: readText(values["agent-filter"], "agent-filter", { wrong, readFile }, (text, file) => ({
      file,
      filter: parseAgentFilter(text, file),
    })),
    correlation: values["no-correlate"] ? null : {
      rules: readText(
        values["correlation-rules"],
        "correlation-rules",
        { wrong, readFile },
        (text, file) => withBuiltin(parseCorrelationRules(text, file), BUILTIN_CORRELATION_RULES),
      ) ?? [...BUILTIN_CORRELATION_RULES],
      options: {
        latenessMs: values["correlation-lateness"],
        idleMs: values["correlation-idle"],
        // A clock further ahead than that would make the others' records late.
        aheadMaxMs: values["correlation-idle"],
      },
    },
    nats,
  };
}

function grpcOptions(values: FlagValues<typeof COMMANDS.serve.flags>, wrong: Wrong): ServeFleetOptions["grpc"] {
  const listen = values["listen-grpc"];
  const tls = tlsFiles(values, wrong);
  if (tls !== null && tls.cert === undefined) throw wrong("--tls-ca takes --tls-cert and --tls-key");
  if (tls === null && !isLoopback(listen) && !values.insecure) {
    throw wrong(`${formatServerAddress(listen)} is open to others: give --tls-cert and --tls-key, or --insecure`);
  }
  if (values["agent-from-certificate"] && tls?.ca === undefined) throw wrong("--agent-from-certificate takes --tls-ca");
  return {
    listen,
    tls,
    insecure: values.insecure,
    tokensFile: values["tokens-file"],
    agentFromCertificate: values["agent-from-certificate"],
    eventsPerSecond: values["agent-events-per-second"],
  };
}

function natsOptions(values: FlagValues<typeof COMMANDS.serve.flags>, wrong: Wrong): NatsOptions | null {
  const { nats: servers } = values;
  if (servers.length === 0) return null;
  const prefixed = {
    "tls-ca": values["nats-tls-ca"],
    "tls-cert": values["nats-tls-cert"],
    "tls-key": values["nats-tls-key"],
  };
  return {
    servers,
    tls: tlsFiles(prefixed, wrong, "nats-"),
    credentialsFile: values["nats-creds"],
    replicas: values["nats-replicas"],
    partitions: values["nats-partitions"],
    bytesMax: values["nats-max-mb"] * BYTES_PER_MB,
  };
}

/** @returns null where none was given */
function tlsFiles(values: TlsFlags, wrong: Wrong, prefix = ""): TlsFiles | null {
  const { "tls-ca": ca, "tls-cert": cert, "tls-key": key } = values;
  if ((cert === null) !== (key === null)) throw wrong(`--${prefix}tls-cert and --${prefix}tls-key need each other`);
  if (ca === null && cert === null) return null;
  return { ...ca !== null && { ca }, ...cert !== null && key !== null && { cert, key } };
}

function readText<T>(
  file: string | null,
  flag: string,
  { wrong, readFile }: { wrong: Wrong; readFile: (path: string) => string },
  parse: (text: string, file: string) => T,
): T | null {
  if (file === null) return null;
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    throw wrong(`cannot read --${flag} ${JSON.stringify(file)}: ${(error as Error).message}`);
  }
  try {
    return parse(text, file);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong(error.message);
    throw error;
  }
}
