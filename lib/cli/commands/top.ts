/** `ebpfmon top`: its flags, and the options that they become. */
import {
  ACTIVITY_GROUPINGS,
  ACTIVITY_ORDERS,
  type ActivityArrangement,
} from "../../aggregate/activity/activity_options.ts";
import { isSyscallName } from "../../wire/syscalls.ts";
import { command, type OptionsOf } from "../command.ts";
import { ACTIVITY_ENTRIES, SAMPLING_FLAG } from "../flags/activity.ts";
import { LIBBPF_FLAG, WINDOW_FLAG } from "../flags/flows.ts";
import { choiceFlag, idFlag, integerFlag, mapped, textFlag, valueFlag } from "../flags/kinds.ts";
import { CONFIG_FLAG, DURATION_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";

const ARRANGEMENT_FLAGS = {
  order: choiceFlag("sort", ACTIVITY_ORDERS, "calls", "what ranks rows; bytes is in and out together"),
  by: choiceFlag(
    "by",
    ACTIVITY_GROUPINGS,
    "process",
    "what a row stands for; containers and users name their processes",
  ),
  syscall: valueFlag<string | null>({
    name: "syscall",
    value: "NAME",
    help: "only system calls of this name",
    takes: "the name of a system call, as in openat",
    fallback: null,
    parse: (text: string) => isSyscallName(text) ? text : undefined,
  }),
  comm: textFlag({
    name: "comm",
    value: "TEXT",
    help: "only processes whose name contains this",
    takes: "a text",
  }),
  pid: idFlag("pid", "PID", 1, 0x7fff_ffff, "only this process"),
  uid: idFlag("uid", "UID", 0, 0xffff_fffe, "only processes of this user"),
} satisfies Record<keyof ActivityArrangement, unknown>;

/** True: with durations, containers and executables. */
const WIDE_FLAG = {
  wide: mapped(
    {
      ...choiceFlag(
        "output",
        ["normal", "wide"],
        "normal",
        "wide: with durations, containers and executables; also -o",
      ),
      short: "o",
    },
    (output) => output === "wide",
  ),
};

export const top = command({
  summary: "processes by their system calls: how many, how long, how many failed, bytes in and out",
  description:
    "Counts every system call of every process but its own, in the kernel. On a terminal the rows are redrawn in place\n" +
    "(c t e b i o sort, g groups, / filters, w is wide, p pauses, q quits); elsewhere each window is printed. TIME is\n" +
    "the time within calls, waiting included, a second of all threads: 2.0 s is two threads always in a call.",
  positionals: {},
  flags: {
    ...OUTPUT_FLAGS,
    ...DURATION_FLAG,
    ...WINDOW_FLAG,
    topMax: integerFlag(
      "top",
      "N",
      { min: 1, max: 1000, unit: "rows", fallback: 20 },
      "rows to show; on a terminal as many as fit",
    ),
    ...ARRANGEMENT_FLAGS,
    ...WIDE_FLAG,
    ...SAMPLING_FLAG,
    ...LIBBPF_FLAG,
    ...CONFIG_FLAG,
  },
  examples: [
    ["sudo ebpfmon top", "who calls most"],
    ["sudo ebpfmon top --sort errors --by syscall", "which calls fail"],
    ["sudo ebpfmon top --syscall openat --by container", "which container opens files"],
    ["sudo ebpfmon top --sampling 100 --json --duration 60", "a minute of a busy host, one call in 100"],
  ],
  options({ topMax, sampling, order, by, syscall, comm, pid, uid, ...options }) {
    const arrangement = { order, by, syscall, comm, pid, uid };
    return { ...options, activity: { ...arrangement, ...ACTIVITY_ENTRIES, sampling, topMax, totalsMax: 0 } };
  },
});

export type TopOptions = OptionsOf<typeof top>;
