/** `ebpfmon monitor`: its flags, and the options that they become. */
import type { ActivityOptions } from "../../aggregate/activity/activity_options.ts";
import { DEFAULT_ARRANGEMENT } from "../../aggregate/activity/process_reducer.ts";
import type { IpfixTarget } from "../../export/ipfix_transport.ts";
import { LEVEL_NAMES } from "../../history/levels.ts";
import type { StoreOptions } from "../../history/history_messages.ts";
import { command, type OptionsOf, repeated } from "../command.ts";
import { ACTIVITY_ENTRIES, SAMPLING_FLAG } from "../flags/activity.ts";
import { RULES_FLAGS, ruleSource } from "../flags/events.ts";
import {
  ATTACH_FLAGS,
  AUTO_WINDOW_FLAG,
  checkFlowFilter,
  FLOW_FILTER_FLAG,
  INTERFACE,
  LIBBPF_FLAG,
  ORDER_FLAG,
  OWNERS_FLAG,
  TOP_FLAG,
  windowOptions,
} from "../flags/flows.ts";
import { type FlagValues, integerFlag, megabytesFlag, switchFlag, textFlag, valueFlag } from "../flags/kinds.ts";
import { CONFIG_FLAG, DURATION_FLAG, LISTEN_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";
import { parseRetention, RETENTION_TEXT } from "../flags/time.ts";

/** What is kept in a store, and for how long. */
const STORE_FLAGS = {
  path: textFlag({
    name: "store",
    value: "FILE",
    help: "keep windows in this database, for ebpfmon history",
    takes: "the name of a file",
    completes: "file",
  }),
  bytesMax: megabytesFlag(
    "store-max-mb",
    { min: 16, max: 1_048_576, fallback: 512 },
    "size of the store; the oldest windows go first",
  ),
  rowsMax: integerFlag(
    "store-rows",
    "N",
    { min: 1, max: 1000, unit: "flows", fallback: 100 },
    "largest flows of a window that the store names",
  ),
  keepNs: valueFlag<bigint[]>({
    name: "retention",
    value: "LIST",
    help: "how long to keep windows, by level",
    takes: `${LEVEL_NAMES.join(", ")} with a time each, as in 1s=12h,1m=7d, none shorter than a finer one's`,
    fallbackText: RETENTION_TEXT,
    fallback: parseRetention(RETENTION_TEXT)!,
    parse: (text) => parseRetention(text) ?? undefined,
  }),
} satisfies Record<keyof StoreOptions, unknown>;

/** What is counted of system calls. */
const ACTIVITY_FLAGS = {
  countsCalls: switchFlag("activity", "count system calls by process too, which adds to the time of each"),
  ...SAMPLING_FLAG,
  totalsMax: integerFlag(
    "process-metrics",
    "K",
    { min: 0, max: 100, unit: "processes", fallback: 0 },
    "metrics of the K processes with the most calls; counts system calls",
  ),
};

const IPFIX_PORT = 4739;

/** `udp://HOST:PORT` or `tcp://HOST:PORT`; without a scheme UDP, without a port IANA's. */
function parseIpfixTarget(text: string): IpfixTarget | undefined {
  const [, protocol, bracketed, plain, port] =
    /^(?:(udp|tcp):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  const number = Number(port ?? IPFIX_PORT);
  if (hostname === undefined || number < 1 || number > 65535) return undefined;
  return { protocol: protocol === "tcp" ? "tcp" : "udp", hostname, port: number };
}

/** Where flow records are sent; null for nowhere. */
const IPFIX_FLAG = {
  ipfix: valueFlag<IpfixTarget | null>({
    name: "ipfix",
    value: "udp://HOST:PORT",
    help: "send all flows to an IPFIX collector, over udp:// or tcp://; bytes as on layer 2",
    takes: "udp://HOST:PORT, tcp://HOST:PORT or HOST:PORT",
    fallback: null,
    parse: parseIpfixTarget,
  }),
};

/** @returns null where system calls are not counted */
function activityOptions(
  { countsCalls, sampling, totalsMax }: FlagValues<typeof ACTIVITY_FLAGS>,
  topMax: number,
): ActivityOptions | null {
  if (!countsCalls && totalsMax === 0) return null;
  return { ...DEFAULT_ARRANGEMENT, ...ACTIVITY_ENTRIES, sampling, topMax, totalsMax };
}

/** @returns null where nothing is stored */
function storeOptions(store: StoreOptions): StoreOptions | null {
  return store.path === "" ? null : store;
}

export const monitor = command({
  summary: "flows in windows of one second, until Ctrl-C",
  description:
    "Counts every packet of the interfaces in its flow, in the kernel. On a terminal the largest flows are redrawn in\n" +
    "place (q quits, p pauses); elsewhere each window is printed. Metrics and the last window are served over HTTP.\n" +
    "--filter chooses the flows that are shown; all of them are counted.",
  positionals: { interfaces: repeated(INTERFACE) },
  flags: {
    ...OUTPUT_FLAGS,
    ...LISTEN_FLAG,
    ...DURATION_FLAG,
    ...AUTO_WINDOW_FLAG,
    ...TOP_FLAG,
    ...ORDER_FLAG,
    ...ATTACH_FLAGS,
    ...LIBBPF_FLAG,
    flowsOnly: switchFlag("flows-only", "do not watch events: no programs on system calls"),
    ...FLOW_FILTER_FLAG,
    ...STORE_FLAGS,
    ...OWNERS_FLAG,
    ...ACTIVITY_FLAGS,
    ...RULES_FLAGS,
    ...IPFIX_FLAG,
    ...CONFIG_FLAG,
  },
  examples: [
    ["sudo ebpfmon monitor eth0", "watch eth0"],
    ["sudo ebpfmon monitor eth0 eth1 --direction ingress --top 20", "two interfaces, inbound only"],
    ["sudo ebpfmon monitor --json --duration 60 --listen off", "a minute of JSON lines"],
    ["sudo ebpfmon monitor --filter 'udp and not port dns'", "UDP flows other than DNS"],
    ["sudo ebpfmon monitor --filter 'comm nginx' --activity", "one program's flows, and who makes system calls"],
    ["sudo ebpfmon monitor eth0 --store flows.db --retention 1s=12h,1m=30d", "keep what is counted, for history"],
  ],
  options(
    { window, path, bytesMax, rowsMax, keepNs, countsCalls, sampling, totalsMax, rulesFile, watch, ...options },
    context,
  ) {
    checkFlowFilter(options.filter, context);
    const store = storeOptions({ path, bytesMax, rowsMax, keepNs });
    if (store !== null && options.order !== "packets") {
      throw context.wrong(`--store keeps the flows of most packets: no --sort ${options.order}`);
    }
    return {
      ...options,
      ...windowOptions(window),
      store,
      activity: activityOptions({ countsCalls, sampling, totalsMax }, options.topMax),
      rules: ruleSource(rulesFile, watch, "rules", context),
    };
  },
});

export type MonitorOptions = OptionsOf<typeof monitor>;
