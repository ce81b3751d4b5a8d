/** The table of commands: parsing, help and shell completions are all made from it. */

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

const CONFIG_FLAG = {
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
  filter: textFlag({
    value: "EXPR",
    help: "which flows to show, as for tcpdump: 'tcp and (dst port 443 or net 10.0.0.0/8)'",
    takes: "an expression",
  }),
  ...CONFIG_FLAG,
};

const MEASURE_FLAGS = { ...OUTPUT_FLAGS, ...WINDOW_FLAG, ...ATTACH_FLAGS, ...CONFIG_FLAG };

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
