/** `ebpfmon events`: its flags, and the options that they become. */
import { EVENT_TYPES, SHARED_RINGS } from "../../events/event.ts";
import { COMM_MAX_BYTES, isText } from "../../events/rules.ts";
import { ROUTER_DEFAULTS, type RouterChoices } from "../../router/defaults.ts";
import type { IsolateTarget } from "../../router/router_messages.ts";
import { command, type OptionsOf } from "../command.ts";
import { checkEventFilter, EVENT_FILTER_FLAG, LIVE_RULES_FLAGS, ruleSource } from "../flags/events.ts";
import {
  idFlag,
  integerFlag,
  listFlag,
  mapped,
  offSwitchFlag,
  switchFlag,
  textFlag,
  type ValueFlag,
  valueFlag,
} from "../flags/kinds.ts";
import { DURATION_FLAG, LISTEN_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";
import type { UsageContext } from "../flags/usage.ts";

const RING_BYTES_MIN = 4096;
const RING_BYTES_MAX = 1 << 30;
/** Entries of the kernel's map. */
const ISOLATED_MAX = 64;

/** The size of a ring: a power of two, as the kernel wants it. */
function ringBytesFlag(name: string, fallback: number, help: string): ValueFlag<number> {
  return {
    name,
    value: "BYTES",
    help,
    takes: `a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX}`,
    fallbackText: String(fallback),
    fallback,
    parse: (text) => {
      const bytes = /^\d{1,10}$/.test(text) ? Number(text) : 0;
      const fits = bytes >= RING_BYTES_MIN && bytes <= RING_BYTES_MAX && Number.isInteger(Math.log2(bytes));
      return fits ? bytes : undefined;
    },
  };
}

function parseIsolateTarget(text: string): IsolateTarget | null {
  const [, pid, path] = /^(?:pid:([1-9]\d{0,9})|cgroup:(\/.+))$/.exec(text) ?? [];
  if (path !== undefined) return { kind: "cgroup", path };
  return pid === undefined ? null : { kind: "pid", pid: Number(pid) };
}

/** Which events are read. */
const SELECTION_FLAGS = {
  rings: listFlag("only", "LIST", SHARED_RINGS, "rings to read, separated by commas: critical, normal, debug"),
  events: listFlag("event", "LIST", EVENT_TYPES, "types of events, separated by commas"),
  pid: idFlag("pid", "PID", 1, 0x7fff_ffff, "events of this process only"),
  uid: idFlag("uid", "UID", 0, 0xffff_fffe, "events of this user only"),
  comm: valueFlag<string | null>({
    name: "comm",
    value: "NAME",
    help: "events of commands with this name only",
    takes: `a name of 1 to ${COMM_MAX_BYTES} bytes`,
    fallback: null,
    parse: (text: string) => isText(text, COMM_MAX_BYTES) ? text : undefined,
  }),
} satisfies Record<keyof RouterChoices["only"], unknown>;

const ISOLATE_FLAG = valueFlag<IsolateTarget[]>({
  name: "isolate",
  value: "LIST",
  help: "a ring of its own for each: pid:N or cgroup:FOLDER, separated by commas",
  takes: `at most ${ISOLATED_MAX} of pid:N or cgroup:/FOLDER, separated by commas`,
  fallbackText: "none",
  fallback: [],
  parse: (text) => {
    const targets = text.split(",").map(parseIsolateTarget);
    return targets.every((it) => it !== null) && targets.length <= ISOLATED_MAX ? targets : undefined;
  },
});

const WEBHOOK_FLAG = valueFlag<string | null>({
  name: "webhook",
  value: "URL",
  help: "POST each alert there as JSON",
  takes: "an http or https URL",
  fallback: null,
  parse: (text: string) => /^https?:\/\/./i.test(text) && URL.canParse(text) ? text : undefined,
});

/** @throws {UsageError} when a ring is larger than the largest that it may grow to */
function checkRings(ringBytes: RouterChoices["ringBytes"], max: number, { wrong }: UsageContext): void {
  for (const [ring, bytes] of Object.entries(ringBytes)) {
    if (bytes > max) throw wrong(`--ring-${ring} ${bytes} is more than --ring-max ${max}`);
  }
}

export const events = command({
  summary: "what processes do, by severity, through three rings",
  description:
    "Follows execs, exits, opened files, connections, refused and dangerous system calls and exhausted limits.\n" +
    "Critical events have a ring of their own, which no flood of others can fill. A line is printed for each event;\n" +
    "where the output is no terminal, so is the table of the rings every 10 seconds.\n" +
    `Types for --event: ${EVENT_TYPES.slice(0, 4).join(", ")},\n${EVENT_TYPES.slice(4).join(", ")}.`,
  positionals: {},
  flags: {
    ...OUTPUT_FLAGS,
    ...LISTEN_FLAG,
    ...DURATION_FLAG,
    ...SELECTION_FLAGS,
    rulesFile: textFlag({
      name: "config",
      value: "FILE",
      help: "severity rules, filters and watch lists, as YAML, or as JSON where the name ends in .json",
      takes: "the name of a file",
      completes: "file",
    }),
    ...LIVE_RULES_FLAGS,
    rateLimit: integerFlag(
      "rate-limit",
      "N",
      { min: 0, max: 1_000_000_000, unit: "events a second", fallback: ROUTER_DEFAULTS.rateLimit },
      "normal and debug events a second of a cgroup; 0 for no limit",
    ),
    ringCritical: ringBytesFlag("ring-critical", ROUTER_DEFAULTS.ringBytes.critical, "size of the critical ring"),
    ringNormal: ringBytesFlag("ring-normal", ROUTER_DEFAULTS.ringBytes.normal, "size of the normal ring"),
    ringDebug: ringBytesFlag("ring-debug", ROUTER_DEFAULTS.ringBytes.debug, "size of the debug ring"),
    ringBytesMax: ringBytesFlag(
      "ring-max",
      ROUTER_DEFAULTS.ringBytesMax,
      "size that a ring may grow to while it drops",
    ),
    isolate: ISOLATE_FLAG,
    repeatSuppression: offSwitchFlag("no-repeat-suppression", "send identical debug events one by one"),
    debugDropRateMax: mapped(
      integerFlag(
        "debug-drop-alert",
        "PERCENT",
        { min: 1, max: 100, unit: "percent", fallback: 50 },
        "alert when more of the debug events are dropped; 100 for never",
      ),
      (percent) => percent / 100,
    ),
    failOnCriticalDrop: switchFlag("fail-on-critical-drop", "exit 1 if a critical event was dropped"),
    webhook: WEBHOOK_FLAG,
    ...EVENT_FILTER_FLAG,
  },
  examples: [
    ["sudo ebpfmon events --only critical,normal", "everything but debug"],
    ["sudo ebpfmon events --event process_exec,security_violation --json", "two types, as JSON lines"],
    [
      "sudo ebpfmon events --only critical --duration 3600 --fail-on-critical-drop",
      "an hour, for a job that must not lose any",
    ],
  ],
  options(
    { rings, events, pid, uid, comm, ringCritical, ringNormal, ringDebug, rulesFile, watch, ...options },
    context,
  ) {
    checkEventFilter(options.filter, context);
    const ringBytes = { critical: ringCritical, normal: ringNormal, debug: ringDebug };
    checkRings(ringBytes, options.ringBytesMax, context);
    return {
      ...options,
      ringBytes,
      only: { rings, events, pid, uid, comm },
      rules: ruleSource(rulesFile, watch, "config", context),
    };
  },
});

export type EventsOptions = OptionsOf<typeof events>;
