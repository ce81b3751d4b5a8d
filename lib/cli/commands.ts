/** The table of commands: parsing, help and shell completions are all made from it. */

import { type Cidr, parseCidr } from "../net/address.ts";
import { FLOW_ORDERS, SEEN_ORDERS } from "../aggregate/windows/flow_window.ts";
import { LEVEL_NAMES } from "../history/levels.ts";
import { ACTIVITY_GROUPINGS, ACTIVITY_ORDERS } from "../aggregate/activity/activity_options.ts";
import { type GroupBy, GROUPINGS } from "../history/rollup.ts";
import { isSyscallName } from "../wire/syscalls.ts";
import { ROUTER_DEFAULTS } from "../router/defaults.ts";
import type { IpfixTarget } from "../export/ipfix_transport.ts";
import { ENRICH_WORKERS_MAX } from "../pipeline/plan.ts";
import { EVENT_TYPES, SHARED_RINGS } from "../events/event.ts";
import type { IsolateTarget } from "../router/router_messages.ts";
import { COMM_MAX_BYTES, isText } from "../events/rules.ts";
import {
  choiceFlag,
  fileFlag,
  type FlagSpec,
  integerFlag,
  listenFlag,
  secondsFlag,
  switchFlag,
  textFlag,
  type ValueSpec,
} from "./flags.ts";
import { AGENT_FLEET_FLAGS, SERVE_FLEET_FLAGS } from "./fleet_flags.ts";
import { parseRetention, parseTime, RETENTION_TEXT, type TimeSpec } from "./history_time.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

const RING_BYTES_MIN = 4096;
/** Entries of the kernel's map. */
const ISOLATED_MAX = 64;
const RING_BYTES_MAX = 1 << 30;

/** An argument without a name. Only the last one of a command may be repeated. */
export interface PositionalSpec {
  // deno-lint-ignore no-explicit-any
  spec: ValueSpec<any>;
  required: boolean;
  repeated: boolean;
}

export interface CommandSpec {
  summary: string;
  /** What help says beyond the summary. */
  description: string;
  positionals: Record<string, PositionalSpec>;
  flags: Record<string, FlagSpec>;
  /** Command line, and what it does. */
  examples: [line: string, meaning: string][];
}

const IFACE = {
  value: "IFACE",
  help: "interface to watch; the one of the default route where none is given",
  takes: "the name of an interface",
  completes: "interface",
  fallback: "",
  parse: (text: string) => /^[^\s/]+$/.test(text) ? text : null,
} satisfies ValueSpec<string>;

const OUTPUT_FLAGS = {
  json: switchFlag("one JSON object a line on stdout, and nothing else there"),
  quiet: switchFlag("no notices on stderr, only errors"),
  debug: switchFlag("with an error, its stack or the verifier's whole log"),
};

/** Of commands whose `--config` holds flags; that of `events` holds rules. */
export const CONFIG_FLAG = {
  config: textFlag({
    value: "FILE",
    help: "JSON file with flags of this command by their long names; the command line wins",
    takes: "the name of a file",
    completes: "file",
  }),
};

const ATTACH_FLAGS = {
  direction: choiceFlag(["ingress", "egress", "both"], "both", "which packets to count"),
  // All names are too long for the flag's own column.
  mode: {
    ...choiceFlag(
      ["auto", "native", "generic", "tcx", "clsact"],
      "auto",
      "hook for ingress: native, generic, tcx, clsact; auto: the first that works",
    ),
    value: "MODE",
  },
  "egress-hook": choiceFlag(
    ["tcx", "clsact"],
    "tcx",
    "hook for egress; before Linux 6.6 tcx means clsact, here and for --mode",
  ),
  "max-flows": integerFlag(
    "N",
    { min: 1, max: 16_777_216, unit: "flows", fallback: 131_072 },
    "flows that a window holds, of IPv4 and of IPv6 each",
  ),
  "max-flows-limit": integerFlag(
    "N",
    { min: 1, max: 16_777_216, unit: "flows", fallback: 1_048_576 },
    "to which a full map doubles; a million take 250 to 300 MB",
  ),
  "max-prefixes": integerFlag(
    "N",
    { min: 1, max: 1_048_576, unit: "networks", fallback: 16_384 },
    "source networks (/24, /48) that count what has no room",
  ),
  values: choiceFlag(["atomic", "percpu"], "atomic", "how counts stay exact: atomic adds, or a value a CPU"),
  force: switchFlag("replace an XDP program that is already attached"),
  "libbpf-url": textFlag({
    value: "URL",
    help: "fetch and cache a libbpf.so from there, in the place of the system's; root only",
    takes: "a URL",
  }),
};

const WINDOW_FLAG = {
  window: integerFlag("MS", { min: 100, max: 60_000, unit: "milliseconds", fallback: 1000 }, "length of a window"),
};

/** The same where the load may choose. */
const AUTO_WINDOW_FLAG = {
  window: {
    ...WINDOW_FLAG.window,
    value: "MS|auto",
    help: `${WINDOW_FLAG.window.help}; auto: 250 to 10000, as the load asks for`,
    takes: `${WINDOW_FLAG.window.takes}, or auto`,
    fallback: 1000,
    parse: (text) => text === "auto" ? text : WINDOW_FLAG.window.parse(text),
  } satisfies ValueSpec<number | "auto"> as ValueSpec<number | "auto">,
};

/** What `monitor` keeps in a store, and for how long. */
const STORE_FLAGS = {
  store: textFlag({
    value: "FILE",
    help: "keep windows in this database, for ebpfmon history",
    takes: "the name of a file",
    completes: "file",
  }),
  "store-max-mb": integerFlag(
    "N",
    { min: 16, max: 1_048_576, unit: "megabytes", fallback: 512 },
    "size of the store; the oldest windows go first",
  ),
  "store-rows": integerFlag(
    "N",
    { min: 1, max: 1000, unit: "flows", fallback: 100 },
    "largest flows of a window that the store names",
  ),
  retention: {
    value: "LIST",
    help: "how long to keep windows, by level",
    takes: `${LEVEL_NAMES.join(", ")} with a time each, as in 1s=12h,1m=7d, none shorter than a finer one's`,
    fallbackText: RETENTION_TEXT,
    fallback: parseRetention(RETENTION_TEXT)!,
    parse: parseRetention,
  } satisfies ValueSpec<bigint[]>,
};

const IPFIX_PORT = 4739;

/** `udp://HOST:PORT` or `tcp://HOST:PORT`; without a scheme UDP, without a port IANA's. */
function parseIpfixTarget(text: string): IpfixTarget | null {
  const [, protocol, bracketed, plain, port] =
    /^(?:(udp|tcp):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  const number = Number(port ?? IPFIX_PORT);
  if (hostname === undefined || number < 1 || number > 65535) return null;
  return { protocol: protocol === "tcp" ? "tcp" : "udp", hostname, port: number };
}

const IPFIX_FLAG = {
  ipfix: {
    value: "udp://HOST:PORT",
    help: "send all flows to an IPFIX collector, over udp:// or tcp://; bytes as on layer 2",
    takes: "udp://HOST:PORT, tcp://HOST:PORT or HOST:PORT",
    fallback: null,
    parse: parseIpfixTarget,
  } satisfies ValueSpec<IpfixTarget | null>,
};

/** How rules for events change while a run goes on. */
const LIVE_RULES_FLAGS = {
  "watch-config": switchFlag("read the file of rules again when it changes; SIGHUP always does"),
  "api-token-file": fileFlag("secret for changing rules over HTTP; without it only this machine may"),
};

const SAMPLING_FLAG = integerFlag(
  "N",
  { min: 1, max: 65_536, unit: "calls", fallback: 1 },
  "count one of so many system calls, as that many",
);

/** What `monitor` says of processes. */
const PROCESS_FLAGS = {
  "no-owners": switchFlag("do not look for whose flow it is"),
  activity: switchFlag("count system calls by process too, which adds to the time of each"),
  sampling: SAMPLING_FLAG,
  "process-metrics": integerFlag(
    "K",
    { min: 0, max: 100, unit: "processes", fallback: 0 },
    "metrics of the K processes with the most calls; counts system calls",
  ),
};

const MONITOR_FLAGS = {
  ...OUTPUT_FLAGS,
  listen: listenFlag({ hostname: "127.0.0.1", port: 9464 }, "address of the HTTP server"),
  duration: secondsFlag("S", null, "stop after so many seconds"),
  ...AUTO_WINDOW_FLAG,
  top: integerFlag("N", { min: 1, max: 1000, unit: "flows", fallback: 10 }, "largest flows to show"),
  // All names are too long for the flag's own column.
  sort: { ...choiceFlag(FLOW_ORDERS, "packets", `by ${FLOW_ORDERS.join(", ")}`), value: "ORDER" },
  ...ATTACH_FLAGS,
  "flows-only": switchFlag("do not watch events: no programs on system calls"),
  filter: textFlag({
    value: "EXPR",
    help: "which flows to show, as for tcpdump: 'tcp and (dst port 443 or net 10.0.0.0/8)'",
    takes: "an expression",
  }),
  ...STORE_FLAGS,
  ...PROCESS_FLAGS,
  rules: textFlag({
    value: "FILE",
    help: "rules for events, as for ebpfmon events --config",
    takes: "the name of a file",
    completes: "file",
  }),
  ...LIVE_RULES_FLAGS,
  ...IPFIX_FLAG,
  ...CONFIG_FLAG,
};

const REPLAY_FLAGS = {
  ...OUTPUT_FLAGS,
  ...WINDOW_FLAG,
  top: MONITOR_FLAGS.top,
  sort: choiceFlag(SEEN_ORDERS, "packets", "what is large; first a TCP reset or handshake, for resets and new"),
  "max-flows": ATTACH_FLAGS["max-flows"],
  "max-flows-limit": ATTACH_FLAGS["max-flows-limit"],
  filter: MONITOR_FLAGS.filter,
  speed: {
    value: "X",
    help: "1 for the time it took then, 10 for ten times as fast; 0 for as fast as it goes",
    takes: "0, or a number from 0.001 to 1000000",
    fallbackText: "0",
    fallback: 0,
    parse: (text: string) => {
      const speed = /^\d{1,7}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN;
      return speed === 0 || (speed >= 0.001 && speed <= 1_000_000) ? speed : null;
    },
  } satisfies ValueSpec<number>,
  "libbpf-url": ATTACH_FLAGS["libbpf-url"],
  ...CONFIG_FLAG,
};

const MEASURE_FLAGS = { ...OUTPUT_FLAGS, ...WINDOW_FLAG, ...ATTACH_FLAGS, ...CONFIG_FLAG };

/** Names separated by commas; none given means all. */
function listFlag<T extends string>(value: string, names: readonly T[], help: string): ValueSpec<T[]> {
  return {
    value,
    help,
    takes: `names separated by commas, out of ${names.join(", ")}`,
    choices: names,
    fallbackText: "all",
    fallback: [],
    parse: (text) => {
      const chosen = text.split(",").map((word) => names.find((name) => name === word));
      return chosen.every((name) => name !== undefined) ? [...new Set(chosen)] : null;
    },
  };
}

/** An identifier, or null where the flag is not given. */
function idFlag(value: string, min: number, max: number, help: string): ValueSpec<number | null> {
  return {
    value,
    help,
    takes: `a number from ${min} to ${max}`,
    fallback: null,
    parse: (text) => {
      const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return id >= min && id <= max ? id : null;
    },
  };
}

/** `pid:N` or `cgroup:PATH`, several separated by commas. */
function isolateFlag(): ValueSpec<IsolateTarget[]> {
  const target = (text: string): IsolateTarget | null => {
    const [, pid, path] = /^(?:pid:([1-9]\d{0,9})|cgroup:(\/.+))$/.exec(text) ?? [];
    if (path !== undefined) return { kind: "cgroup", path };
    return pid === undefined ? null : { kind: "pid", pid: Number(pid) };
  };
  return {
    value: "LIST",
    help: "a ring of its own for each: pid:N or cgroup:FOLDER, separated by commas",
    takes: `at most ${ISOLATED_MAX} of pid:N or cgroup:/FOLDER, separated by commas`,
    fallbackText: "none",
    fallback: [],
    parse: (text) => {
      const targets = text.split(",").map(target);
      return targets.every((it) => it !== null) && targets.length <= ISOLATED_MAX ? targets : null;
    },
  };
}

/** The size of a ring: a power of two, as the kernel wants it. */
function ringBytesFlag(fallback: number, help: string): ValueSpec<number> {
  return {
    value: "BYTES",
    help,
    takes: `a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX}`,
    fallbackText: String(fallback),
    fallback,
    parse: (text) => {
      const bytes = /^\d{1,10}$/.test(text) ? Number(text) : 0;
      return bytes >= RING_BYTES_MIN && bytes <= RING_BYTES_MAX && Number.isInteger(Math.log2(bytes)) ? bytes : null;
    },
  };
}

const EVENT_FILTER_FLAG = textFlag({
  value: "EXPR",
  help: "which events: 'severity critical or (comm nginx and not path /proc)'",
  takes: "an expression",
});

const EVENTS_FLAGS = {
  ...OUTPUT_FLAGS,
  listen: MONITOR_FLAGS.listen,
  duration: MONITOR_FLAGS.duration,
  only: listFlag("LIST", SHARED_RINGS, "rings to read, separated by commas: critical, normal, debug"),
  event: listFlag("LIST", EVENT_TYPES, "types of events, separated by commas"),
  pid: idFlag("PID", 1, 0x7fff_ffff, "events of this process only"),
  uid: idFlag("UID", 0, 0xffff_fffe, "events of this user only"),
  comm: {
    value: "NAME",
    help: "events of commands with this name only",
    takes: `a name of 1 to ${COMM_MAX_BYTES} bytes`,
    fallback: null,
    parse: (text: string) => isText(text, COMM_MAX_BYTES) ? text : null,
  } satisfies ValueSpec<string | null>,
  config: textFlag({
    value: "FILE",
    help: "severity rules, filters and watch lists, as YAML, or as JSON where the name ends in .json",
    takes: "the name of a file",
    completes: "file",
  }),
  ...LIVE_RULES_FLAGS,
  "rate-limit": integerFlag(
    "N",
    { min: 0, max: 1_000_000_000, unit: "events a second", fallback: ROUTER_DEFAULTS.rateLimit },
    "normal and debug events a second of a cgroup; 0 for no limit",
  ),
  "ring-critical": ringBytesFlag(ROUTER_DEFAULTS.ringBytes.critical, "size of the critical ring"),
  "ring-normal": ringBytesFlag(ROUTER_DEFAULTS.ringBytes.normal, "size of the normal ring"),
  "ring-debug": ringBytesFlag(ROUTER_DEFAULTS.ringBytes.debug, "size of the debug ring"),
  "ring-max": ringBytesFlag(ROUTER_DEFAULTS.ringBytesMax, "size that a ring may grow to while it drops"),
  isolate: isolateFlag(),
  "no-repeat-suppression": switchFlag("send identical debug events one by one"),
  "debug-drop-alert": integerFlag(
    "PERCENT",
    { min: 1, max: 100, unit: "percent", fallback: 50 },
    "alert when more of the debug events are dropped; 100 for never",
  ),
  "fail-on-critical-drop": switchFlag("exit 1 if a critical event was dropped"),
  webhook: {
    value: "URL",
    help: "POST each alert there as JSON",
    takes: "an http or https URL",
    fallback: null,
    parse: (text: string) => /^https?:\/\/./i.test(text) && URL.canParse(text) ? text : null,
  } satisfies ValueSpec<string | null>,
  filter: EVENT_FILTER_FLAG,
};

const TOP_FLAGS = {
  ...OUTPUT_FLAGS,
  duration: MONITOR_FLAGS.duration,
  ...WINDOW_FLAG,
  top: integerFlag(
    "N",
    { min: 1, max: 1000, unit: "rows", fallback: 20 },
    "rows to show; on a terminal as many as fit",
  ),
  sort: choiceFlag(ACTIVITY_ORDERS, "calls", "what is large; bytes is in and out together"),
  by: choiceFlag(ACTIVITY_GROUPINGS, "process", "what a row stands for; containers and users name their processes"),
  syscall: {
    value: "NAME",
    help: "only system calls of this name",
    takes: "the name of a system call, as in openat",
    fallback: null,
    parse: (text: string) => isSyscallName(text) ? text : null,
  } satisfies ValueSpec<string | null>,
  comm: textFlag({ value: "TEXT", help: "only processes whose name contains this", takes: "a text" }),
  pid: idFlag("PID", 1, 0x7fff_ffff, "only this process"),
  uid: idFlag("UID", 0, 0xffff_fffe, "only processes of this user"),
  output: choiceFlag(["normal", "wide"], "normal", "wide: with durations, containers and executables; also -o"),
  sampling: SAMPLING_FLAG,
  "libbpf-url": ATTACH_FLAGS["libbpf-url"],
  ...CONFIG_FLAG,
};

export const PIPELINE_ACTIONS = ["run", "dead-letters", "replay"] as const;
export type PipelineAction = typeof PIPELINE_ACTIONS[number];

const PIPELINE_FLAGS = {
  ...OUTPUT_FLAGS,
  listen: MONITOR_FLAGS.listen,
  duration: MONITOR_FLAGS.duration,
  simulate: {
    value: "N",
    help: "make up so many events in the place of the kernel's",
    takes: "a number of events from 1 on",
    fallback: null,
    parse: (text: string) => /^[1-9]\d{0,11}$/.test(text) ? Number(text) : null,
  } satisfies ValueSpec<number | null>,
  rate: integerFlag(
    "R",
    { min: 0, max: 100_000_000, unit: "events a second", fallback: 0 },
    "simulated events a second; 0 for as fast as they go",
  ),
  delay: integerFlag(
    "MS",
    { min: 0, max: 60_000, unit: "milliseconds", fallback: 0 },
    "let the last stage wait over each batch",
  ),
  "no-kernel": switchFlag("simulated events enter the first channel; takes no privilege"),
  placement: choiceFlag(
    ["one", "each", "fan-out"],
    "one",
    "one worker for all stages, one each, several that enrich",
  ),
  "enrich-workers": integerFlag(
    "N",
    { min: 1, max: ENRICH_WORKERS_MAX, unit: "workers", fallback: 2 },
    "workers that enrich, with --placement fan-out",
  ),
  distribution: choiceFlag(
    ["hash", "round-robin"],
    "hash",
    "how events go to them; hash keeps each process in order",
  ),
  channel: choiceFlag(["shared", "queue"], "shared", "channels in shared memory, or BPF queues"),
  policy: choiceFlag(["block", "drop-newest", "drop-oldest"], "block", "what a full channel does with bulk events"),
  filter: EVENT_FILTER_FLAG,
  "dead-letters": fileFlag("JSON lines of what a stage failed on: written, or read to show or replay"),
};

export const HISTORY_VIEWS = ["top", "series", "flows"] as const;
export type HistoryView = typeof HISTORY_VIEWS[number];

/** A moment: RFC 3339, a day, `now`, or so long before it. */
function timeFlag(fallbackText: string, help: string): ValueSpec<TimeSpec> {
  return {
    value: "TIME",
    help,
    takes: "a time like 2026-01-02T03:04:05Z, 2026-01-02, -1h or now",
    fallbackText,
    fallback: parseTime(fallbackText)!,
    parse: parseTime,
  };
}

/** Networks separated by commas. */
const NETS_FLAG = {
  value: "LIST",
  help: "networks for --by net, separated by commas; else every /24 and /48",
  takes: "networks like 10.0.0.0/8,2001:db8::/32",
  fallback: [],
  parse: (text: string) => {
    const networks = text.split(",").map(parseCidr);
    return networks.every((network) => network !== null) ? networks : null;
  },
} satisfies ValueSpec<Cidr[]>;

/** A group opened again: what it was grouped by, and its name there. */
const GROUP_FLAG = {
  value: "BY=GROUP",
  help: "only the flows of this group: 'port=443/tcp', 'net=192.0.2.0/24'",
  takes: `a grouping and one of its groups; groupings are ${GROUPINGS.join(", ")}`,
  fallback: null,
  parse: (text: string) => {
    const [, name, label] = /^([a-z]+)=(.+)$/s.exec(text) ?? [];
    const by = GROUPINGS.find((grouping) => grouping === name);
    return by === undefined ? null : { by, label };
  },
} satisfies ValueSpec<{ by: GroupBy; label: string } | null>;

const HISTORY_FLAGS = {
  ...OUTPUT_FLAGS,
  csv: switchFlag("comma-separated values on stdout"),
  store: { ...STORE_FLAGS.store, help: "database that monitor --store keeps" },
  from: timeFlag("-1h", "where to begin"),
  to: timeFlag("now", "where to end"),
  by: {
    ...choiceFlag(GROUPINGS, "flow", "what to group by [flow; for series nothing]"),
    value: "GROUPING",
    fallbackText: undefined,
    fallback: null,
  } satisfies ValueSpec<GroupBy | null>,
  where: textFlag({
    value: "EXPR",
    help: "which flows, as for --filter: 'tcp and dst net 10.0.0.0/8'",
    takes: "an expression",
  }),
  group: GROUP_FLAG,
  nets: NETS_FLAG,
  level: choiceFlag(
    ["auto", ...LEVEL_NAMES],
    "auto",
    "coarsest windows to read; auto gives 24 or more",
  ),
  sort: choiceFlag(["packets", "bytes"], "packets", "what is large"),
  limit: integerFlag("N", { min: 1, max: 100_000, unit: "rows", fallback: 10 }, "rows to show"),
};

const AGENT_FLAGS = {
  ...OUTPUT_FLAGS,
  ...AGENT_FLEET_FLAGS,
  listen: MONITOR_FLAGS.listen,
  duration: MONITOR_FLAGS.duration,
  ...WINDOW_FLAG,
  top: { ...MONITOR_FLAGS.top, help: "largest flows of a window to send (1 to 1000)" },
  ...ATTACH_FLAGS,
  filter: { ...MONITOR_FLAGS.filter, help: "which flows to send, as for tcpdump; all of them are counted" },
  rules: MONITOR_FLAGS.rules,
  ...LIVE_RULES_FLAGS,
  ...CONFIG_FLAG,
};

const SERVE_FLAGS = {
  ...OUTPUT_FLAGS,
  listen: listenFlag({ hostname: "127.0.0.1", port: 9466 }, "address of the HTTP server"),
  ...SERVE_FLEET_FLAGS,
  duration: MONITOR_FLAGS.duration,
  ...CONFIG_FLAG,
};

const DETACH_FLAGS = { ...OUTPUT_FLAGS, force: switchFlag("remove filters of running instances too") };

const DOCTOR_FLAGS = { ...OUTPUT_FLAGS };

/** All commands, in the order of the help. */
export const COMMANDS = {
  monitor: {
    summary: "flows in windows of one second, until Ctrl-C",
    description:
      "Counts every packet of the interfaces in its flow, in the kernel. On a terminal the largest flows are redrawn in\n" +
      "place (q quits, p pauses); elsewhere each window is printed. Metrics and the last window are served over HTTP.\n" +
      "--filter chooses the flows that are shown; all of them are counted.",
    positionals: { interfaces: { spec: IFACE, required: false, repeated: true } },
    flags: MONITOR_FLAGS,
    examples: [
      ["sudo ebpfmon monitor eth0", "watch eth0"],
      ["sudo ebpfmon monitor eth0 eth1 --direction ingress --top 20", "two interfaces, inbound only"],
      ["sudo ebpfmon monitor --json --duration 60 --listen off", "a minute of JSON lines"],
      ["sudo ebpfmon monitor --filter 'udp and not port dns'", "UDP flows other than DNS"],
      ["sudo ebpfmon monitor --filter 'comm nginx' --activity", "one program's flows, and who makes system calls"],
      ["sudo ebpfmon monitor eth0 --store flows.db --retention 1s=12h,1m=30d", "keep what is counted, for history"],
    ],
  },
  measure: {
    summary: "how much aggregation reduces event volume and bandwidth",
    description: "Counts for so many seconds, then compares one record a packet with one record a flow and window.",
    positionals: {
      seconds: {
        spec: secondsFlag("SECONDS", 0, "how long to count"),
        required: true,
        repeated: false,
      },
      iface: { spec: IFACE, required: false, repeated: false },
    },
    flags: MEASURE_FLAGS,
    examples: [
      ["sudo ebpfmon measure 10", "ten seconds of the default route's interface"],
      ["sudo ebpfmon measure 60 eth0 --json", "a minute of eth0, as JSON"],
    ],
  },
  events: {
    summary: "what processes do, by severity, through three rings",
    description:
      "Follows execs, exits, opened files, connections, refused and dangerous system calls and exhausted limits.\n" +
      "Critical events have a ring of their own, which no flood of others can fill. A line is printed for each event;\n" +
      "where the output is no terminal, so is the table of the rings every 10 seconds.\n" +
      `Types for --event: ${EVENT_TYPES.slice(0, 4).join(", ")},\n${EVENT_TYPES.slice(4).join(", ")}.`,
    positionals: {},
    flags: EVENTS_FLAGS,
    examples: [
      ["sudo ebpfmon events --only critical,normal", "everything but debug"],
      ["sudo ebpfmon events --event process_exec,security_violation --json", "two types, as JSON lines"],
      [
        "sudo ebpfmon events --only critical --duration 3600 --fail-on-critical-drop",
        "an hour, for a job that must not lose any",
      ],
    ],
  },
  replay: {
    summary: "the flows of a capture, counted as live ones are",
    description:
      "Runs each frame of a pcap or pcapng file, compressed by gzip or not, through the program that counts live packets,\n" +
      "attached to nothing. Windows are cut on the capture's time line. A frame that the snap length cut counts with its\n" +
      "length on the wire. Linux cooked and raw IP captures count as if each packet had a 14-byte Ethernet header.",
    positionals: {
      file: {
        spec: {
          value: "FILE",
          help: "capture to read; - for standard input",
          takes: "the name of a file, or -",
          completes: "file",
          fallback: "",
          parse: (text: string) => text === "" ? null : text,
        } satisfies ValueSpec<string>,
        required: true,
        repeated: false,
      },
    },
    flags: REPLAY_FLAGS,
    examples: [
      ["sudo ebpfmon replay some.pcap", "a table for each second of the capture"],
      ["sudo ebpfmon replay some.pcapng.gz --json --window 60000 --top 100", "a minute a JSON line, with 100 flows"],
      ["tcpdump -w - -c 1000 | sudo ebpfmon replay - --filter 'udp'", "from a pipe"],
    ],
  },
  top: {
    summary: "processes by their system calls: how many, how long, how many failed, bytes in and out",
    description:
      "Counts every system call of every process but its own, in the kernel. On a terminal the rows are redrawn in place\n" +
      "(c t e b i o sort, g groups, / filters, w is wide, p pauses, q quits); elsewhere each window is printed. TIME is\n" +
      "the time within calls, waiting included, a second of all threads: 2.0 s is two threads always in a call.",
    positionals: {},
    flags: TOP_FLAGS,
    examples: [
      ["sudo ebpfmon top", "who calls most"],
      ["sudo ebpfmon top --sort errors --by syscall", "which calls fail"],
      ["sudo ebpfmon top --syscall openat --by container", "which container opens files"],
      ["sudo ebpfmon top --sampling 100 --json --duration 60", "a minute of a busy host, one call in 100"],
    ],
  },
  history: {
    summary: "top talkers and series from what monitor --store kept",
    description:
      "top shows the largest groups of flows, series traffic over time, flows single flows. Reads while a monitor writes.\n" +
      "A window names its largest flows and keeps the others as a sum, which every answer shows beside what it names.\n" +
      "Flows that found no room in the map are estimates: ~, at least so much, with error_packets and error_bytes beside it.\n" +
      `Groupings for --by: ${GROUPINGS.join(", ")}.\n` +
      "net is the far end's network; port is the lower of the two.",
    positionals: {
      view: { spec: choiceFlag(HISTORY_VIEWS, "top", "what to show"), required: true, repeated: false },
    },
    flags: HISTORY_FLAGS,
    examples: [
      ["ebpfmon history top --store flows.db --from -1h --by src", "who sent most in the last hour"],
      [
        "ebpfmon history series --store flows.db --from -1d --by port --limit 5",
        "the five largest services over a day",
      ],
      [
        "ebpfmon history flows --store flows.db --from -10m --group port=443/tcp --csv > flows.csv",
        "the flows of one group, for a spreadsheet",
      ],
    ],
  },
  pipeline: {
    summary: "the stages that all events pass: filter, enrich, aggregate",
    description:
      "Runs the kernel's events, or simulated ones, through the pipeline, prints a line a second, and in the end what\n" +
      "became of each event and how long it took. ACTION dead-letters shows what stages failed on, from the file that\n" +
      "--dead-letters names; replay runs it through the stages again.",
    positionals: {
      action: {
        spec: { ...choiceFlag(PIPELINE_ACTIONS, "run", "run, dead-letters or replay"), value: "ACTION" },
        required: false,
        repeated: false,
      },
    },
    flags: PIPELINE_FLAGS,
    examples: [
      ["sudo ebpfmon pipeline --duration 10", "the kernel's events for ten seconds"],
      ["sudo ebpfmon pipeline --simulate 1000000", "a million events through the kernel's rings and all stages"],
      ["ebpfmon pipeline --simulate 100000 --no-kernel --rate 20000", "without privilege, 20,000 a second"],
      ["ebpfmon pipeline dead-letters --dead-letters failed.jsonl", "show what stages failed on"],
    ],
  },
  agent: {
    summary: "monitor this host for a server: stream flows, events, health and alerts",
    description:
      "Counts and watches as monitor does, and streams all of it to one of the servers. What is not acknowledged stays in\n" +
      "the spool, in memory and with --spool on disk. At the end it says what became of each batch:\n" +
      "batches = acknowledged + spooled + dropped.",
    positionals: { interfaces: { spec: IFACE, required: false, repeated: true } },
    flags: AGENT_FLAGS,
    examples: [
      ["sudo ebpfmon agent --server 127.0.0.1:9465", "to a server on this machine, without TLS"],
      [
        "sudo ebpfmon agent eth0 --server a.example:9465,b.example:9465 --tls-ca ca.pem --token-file token --spool spool",
        "to one of two servers, with TLS and a token",
      ],
    ],
  },
  serve: {
    summary: "receive what agents stream, store it, find what belongs together",
    description:
      "Takes the streams of agents, acknowledges what is on disk, and correlates events of all hosts to groups, which it\n" +
      "shows over HTTP and sends as traces where OTEL_EXPORTER_OTLP_ENDPOINT says. With --nats several servers and\n" +
      "workers share the work, and any of them may die.",
    positionals: {},
    flags: SERVE_FLAGS,
    examples: [
      ["ebpfmon serve", "agents of this machine, at 127.0.0.1:9465"],
      [
        "ebpfmon serve --listen-grpc 0.0.0.0:9465 --tls-cert server.pem --tls-key server.key --tokens-file tokens",
        "a fleet, with TLS and a token for each agent",
      ],
      ["ebpfmon serve --nats nats://127.0.0.1:4222 --correlate-only", "a worker more"],
    ],
  },
  doctor: {
    summary: "what works on this machine, what does not, and what to do",
    description: "Loads each kind of program and says whether the kernel takes it. Changes nothing.",
    positionals: {},
    flags: DOCTOR_FLAGS,
    examples: [["sudo ebpfmon doctor", "check this machine"]],
  },
  detach: {
    summary: "remove the filters that a killed instance left behind",
    description:
      "Before Linux 6.6 what counts at egress is called by a filter, which outlives a kill -9, though it then does nothing.\n" +
      "Any start of ebpfmon that attaches removes such filters, and so does this. Filters of running instances stay.\n" +
      "The clsact qdisc stays too: others may use it.",
    positionals: {
      interfaces: {
        spec: { ...IFACE, help: "interface to look at; all of them where none is given" },
        required: false,
        repeated: true,
      },
    },
    flags: DETACH_FLAGS,
    examples: [
      ["sudo ebpfmon detach", "on all interfaces"],
      ["sudo ebpfmon detach eth0 --force", "on eth0, even if an instance is running"],
    ],
  },
  completions: {
    summary: "completion script for a shell",
    description: "Prints a script that teaches the shell the commands and flags of ebpfmon.",
    positionals: {
      shell: {
        spec: choiceFlag(SHELLS, "bash", "shell to print it for"),
        required: true,
        repeated: false,
      },
    },
    flags: {},
    examples: [
      ["ebpfmon completions bash > /etc/bash_completion.d/ebpfmon", "install for bash"],
      ["ebpfmon completions fish > ~/.config/fish/completions/ebpfmon.fish", "install for fish"],
    ],
  },
} satisfies Record<string, CommandSpec>;

export type CommandName = keyof typeof COMMANDS;

/** Names of all commands, in the order of the help. */
export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];
