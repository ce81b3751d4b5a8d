/** `ebpfmon agent`: its flags, and the options that they become. */
import { formatServerAddress, isLoopback, type ServerAddress } from "../../fleet/server_address.ts";
import { command, type OptionsOf, repeated } from "../command.ts";
import { RULES_FLAGS, ruleSource } from "../flags/events.ts";
import { parseServerAddresses, TLS_FLAGS, tlsFiles } from "../flags/fleet.ts";
import {
  ATTACH_FLAGS,
  checkFlowFilter,
  FLOW_FILTER_FLAG,
  INTERFACE,
  LIBBPF_FLAG,
  TOP_FLAG,
  WINDOW_FLAG,
} from "../flags/flows.ts";
import {
  choiceFlag,
  fileFlag,
  type FlagValues,
  integerFlag,
  mapped,
  megabytesFlag,
  optionalTextFlag,
  switchFlag,
  valueFlag,
} from "../flags/kinds.ts";
import { CONFIG_FLAG, DURATION_FLAG, LISTEN_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";
import type { UsageContext } from "../flags/usage.ts";

/** `--flows all`. */
const FLOWS_MAX = 100_000;

const SERVERS_FLAG = {
  servers: valueFlag<ServerAddress[]>({
    name: "server",
    value: "HOST:PORT[,...]",
    help: "where to stream to; of several, any that works",
    takes: "HOST:PORT, several separated by commas",
    fallback: [],
    parse: parseServerAddresses,
  }),
};

/** What waits for a server's acknowledgement. */
const SPOOL_FLAGS = {
  /** null: it waits in memory only. */
  spoolPath: optionalTextFlag({
    name: "spool",
    value: "DIR",
    help: "keep what is not acknowledged in this folder too, over restarts",
    takes: "the name of a folder",
    completes: "file",
  }),
  spoolBytesMax: megabytesFlag(
    "spool-mb",
    { min: 1, max: 1_048_576, fallback: 256 },
    "size of that folder; once full, the least severe events go first",
  ),
  memoryBytesMax: megabytesFlag(
    "spool-memory-mb",
    { min: 1, max: 4096, fallback: 32 },
    "memory for what is not acknowledged",
  ),
};

/** How a server is trusted, and how it trusts this agent. */
const LINK_FLAGS = {
  ...TLS_FLAGS,
  serverName: optionalTextFlag({
    name: "tls-server-name",
    value: "NAME",
    help: "name in the server's certificate, where it is another than the host's",
    takes: "a host name",
  }),
  tokenFile: fileFlag("token-file", "secret that tells the server who we are; read again at each connection"),
  insecure: switchFlag(
    "insecure",
    "without TLS to another host: everybody on the way can read and change what is sent",
  ),
};

/** null: made of the machine's. */
const AGENT_ID_FLAG = {
  agentId: valueFlag<string | null>({
    name: "agent-id",
    value: "NAME",
    help: "name of this agent; by default one made of /etc/machine-id",
    takes: "1 to 255 visible characters",
    fallback: null,
    parse: (text: string) => /^[\x21-\x7e]{1,255}$/.test(text) ? text : undefined,
  }),
};

/** @throws {UsageError} when there is no server, or one of another host without TLS */
function linkOptions(
  { servers, ca, cert, key, serverName, tokenFile, insecure, gzip }:
    & FlagValues<typeof SERVERS_FLAG & typeof LINK_FLAGS>
    & { gzip: boolean },
  context: UsageContext,
) {
  if (servers.length === 0) throw context.wrong("--server HOST:PORT is missing");
  const tls = tlsFiles({ ca, cert, key }, context);
  const exposed = servers.find((server) => !isLoopback(server));
  if (tls === null && exposed !== undefined && !insecure) {
    const address = formatServerAddress(exposed);
    throw context.wrong(`${address} is another host: give --tls-ca FILE, or --insecure to send without TLS`);
  }
  return {
    servers,
    tls: tls && { ...tls, ...serverName !== null && { serverName } },
    insecure,
    gzip,
    ...tokenFile !== null && { tokenFile },
  };
}

export const agent = command({
  summary: "monitor this host for a server: stream flows, events, health and alerts",
  description:
    "Counts and watches as monitor does, and streams all of it to one of the servers. What is not acknowledged stays in\n" +
    "the spool, in memory and with --spool on disk. At the end it says what became of each batch:\n" +
    "batches = acknowledged + spooled + dropped.",
  positionals: { interfaces: repeated(INTERFACE) },
  flags: {
    ...OUTPUT_FLAGS,
    ...SERVERS_FLAG,
    sendsAllFlows: mapped(
      choiceFlag(
        "flows",
        ["top", "all"],
        "top",
        "flows of a window that are sent: the --top largest, or all up to 100000",
      ),
      (flows) => flows === "all",
    ),
    ...SPOOL_FLAGS,
    ...LINK_FLAGS,
    ...AGENT_ID_FLAG,
    flushMs: integerFlag(
      "flush-ms",
      "MS",
      { min: 0, max: 60_000, unit: "milliseconds", fallback: 1000 },
      "how long an event waits for others; critical ones do not",
    ),
    gzip: switchFlag("gzip", "compress what is sent"),
    raw: switchFlag("raw", "also send each event's record as the kernel wrote it"),
    ...LISTEN_FLAG,
    ...DURATION_FLAG,
    ...WINDOW_FLAG,
    topMax: { ...TOP_FLAG.topMax, help: "largest flows of a window to send (1 to 1000)" },
    ...ATTACH_FLAGS,
    ...LIBBPF_FLAG,
    filter: { ...FLOW_FILTER_FLAG.filter, help: "which flows to send, as for tcpdump; all of them are counted" },
    ...RULES_FLAGS,
    ...CONFIG_FLAG,
  },
  examples: [
    ["sudo ebpfmon agent --server 127.0.0.1:9465", "to a server on this machine, without TLS"],
    [
      "sudo ebpfmon agent eth0 --server a.example:9465,b.example:9465 --tls-ca ca.pem --token-file token --spool spool",
      "to one of two servers, with TLS and a token",
    ],
  ],
  options(values, context) {
    const { servers, ca, cert, key, serverName, tokenFile, insecure, gzip, ...rest } = values;
    const { sendsAllFlows, spoolPath, spoolBytesMax, rulesFile, watch, ...options } = rest;
    checkFlowFilter(options.filter, context);
    return {
      ...options,
      topMax: sendsAllFlows ? FLOWS_MAX : options.topMax,
      spool: spoolPath === null ? null : { path: spoolPath, bytesMax: spoolBytesMax },
      link: linkOptions({ servers, ca, cert, key, serverName, tokenFile, insecure, gzip }, context),
      rules: ruleSource(rulesFile, watch, "rules", context),
    };
  },
});

export type AgentOptions = OptionsOf<typeof agent>;
