/** The table of commands: parsing, help and shell completions are all made from it. */

import { ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EVENT_TYPES, type IsolateTarget, SHARED_RINGS } from "../router/protocol.ts";
import { COMM_MAX_BYTES, isText } from "../router/rules.ts";
import {
  choiceFlag,
  type FlagSpec,
  integerFlag,
  listenFlag,
  secondsFlag,
  switchFlag,
  textFlag,
  type ValueSpec,
} from "./flags.ts";

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
  mode: choiceFlag(
    ["auto", "native", "generic", "tcx"],
    "auto",
    "hook for ingress; auto tries native XDP, generic XDP, then TCX",
  ),
  "egress-hook": choiceFlag(
    ["tcx", "clsact"],
    "tcx",
    "hook for egress; clsact outlives a kill -9 until the next start",
  ),
  "max-flows": integerFlag(
    "N",
    { min: 1, max: 16_777_216, unit: "flows", fallback: 131_072 },
    "flows that a window holds, of IPv4 and of IPv6 each",
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

const MONITOR_FLAGS = {
  ...OUTPUT_FLAGS,
  listen: listenFlag({ hostname: "127.0.0.1", port: 9464 }, "address of the HTTP server"),
  duration: secondsFlag("S", null, "stop after so many seconds"),
  ...WINDOW_FLAG,
  top: integerFlag("N", { min: 1, max: 1000, unit: "flows", fallback: 10 }, "largest flows to show"),
  ...ATTACH_FLAGS,
  "flows-only": switchFlag("do not watch events: no programs on system calls"),
  filter: textFlag({
    value: "EXPR",
    help: "which flows to show, as for tcpdump: 'tcp and (dst port 443 or net 10.0.0.0/8)'",
    takes: "an expression",
  }),
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
    help: "rules that raise or lower severities, as YAML, or as JSON where the name ends in .json",
    takes: "the name of a file",
    completes: "file",
  }),
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
};

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
  doctor: {
    summary: "what works on this machine, what does not, and what to do",
    description: "Loads each kind of program and says whether the kernel takes it. Changes nothing.",
    positionals: {},
    flags: DOCTOR_FLAGS,
    examples: [["sudo ebpfmon doctor", "check this machine"]],
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
