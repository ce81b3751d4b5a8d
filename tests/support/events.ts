/** Events and health reports for tests: plausible, and overridden where a test looks. */
import { EventDecoder } from "../../lib/events/event_decoder.ts";
import { eventRecord } from "./records.ts";
import { categorise, priorityOf } from "../../lib/events/categorise.ts";
import type { PipelineEvent } from "../../lib/pipeline/pipeline_messages.ts";
import { EVENT_TYPES, type EventBase, type RingName, type RouterEvent, SEVERITIES } from "../../lib/events/event.ts";
import type { HealthReport, RingCounters } from "../../lib/router/router_messages.ts";

type Details<T extends RouterEvent["event"]> = Omit<Extract<RouterEvent, { event: T }>, keyof EventBase>;

/** Of other types it is what their record says. */
const DETAILS: { [T in RouterEvent["event"]]?: Details<T> } = {
  process_exec: { filename: "/bin/ls", argv: ["ls", "-l", ""], argvTruncated: false, ppid: 7 },
  process_exit: { exitCode: 3, signal: 0 },
  file_open: { path: "/etc/shadow", pathTruncated: false, flags: 0o100000, syscall: "openat" },
  network_connect: { family: "ipv4", address: "192.0.2.1", port: 443 },
  tcp_state: {
    family: "ipv6",
    src: "2001:db8::1",
    dst: "2001:db8::2",
    sport: 1024,
    dport: 443,
    oldState: "SYN_SENT",
    newState: "ESTABLISHED",
  },
  security_violation: { kind: "denied", syscall: "mount", detail: "/mnt" },
  resource_limit: { kind: "files", syscall: "openat", detail: "" },
};

const BASE: Omit<EventBase, "event"> = {
  severity: "warning",
  tsNs: 5_000_000_000n,
  cpu: 1,
  pid: 42,
  tid: 43,
  uid: 1000,
  comm: "sh",
  cgroupId: 9n,
  result: 0,
  weight: 1,
  repeats: 1,
  firstNs: 5_000_000_000n,
  spilled: false,
  rulesGeneration: 1,
};

export function routerEvent<T extends RouterEvent["event"]>(
  event: T,
  overrides: Partial<EventBase> & Partial<Details<T>> = {},
): RouterEvent {
  // That `event` goes with its own details is beyond what the compiler follows for a type that is a parameter.
  return { ...BASE, ...DETAILS[event] ?? decodedDetails(event), ...overrides, event } as unknown as RouterEvent;
}

function decodedDetails(event: RouterEvent["event"]): Partial<RouterEvent> {
  const record = eventRecord(event);
  const decoded = new EventDecoder("x86_64").decode(new DataView(record.buffer), 0, record.length)!;
  const base = new Set(Object.keys(BASE));
  return Object.fromEntries(Object.entries(decoded).filter(([member]) => !base.has(member)));
}

const CAPACITY_BYTES: Record<RingName, number> = {
  critical: 131_072,
  normal: 524_288,
  debug: 65_536,
  isolated: 524_288,
};

/** The same, come through the pipeline; with `overrides` of what that adds. */
export function pipelineEvent<T extends RouterEvent["event"]>(
  event: T,
  overrides: Parameters<typeof routerEvent<T>>[1] = {},
  found: Partial<Pick<PipelineEvent, "category" | "priority" | "process" | "service">> = {},
): PipelineEvent {
  const { severity } = { ...routerEvent(event), ...overrides };
  return {
    ...routerEvent(event, overrides),
    category: categorise(EVENT_TYPES.indexOf(event)),
    priority: priorityOf(SEVERITIES.indexOf(severity)),
    process: null,
    service: "",
    ...found,
  };
}

export function ringCounters(ring: RingName, overrides: Partial<RingCounters> = {}): RingCounters {
  return {
    ring,
    submitted: 0n,
    dropped: 0n,
    failures: 0n,
    spilled: 0n,
    consumed: 0n,
    fill: 0,
    capacityBytes: CAPACITY_BYTES[ring],
    ...overrides,
  };
}

export function healthReport(overrides: Partial<HealthReport> = {}): HealthReport {
  return {
    unixNs: 1_767_323_045_000_000_006n,
    rings: [ringCounters("critical"), ringCounters("normal"), ringCounters("debug")],
    droppedByType: [],
    rateLimited: 0n,
    rateLimitedByPid: [],
    sampledOut: 0n,
    repeatsSuppressed: 0n,
    filtered: 0n,
    ...overrides,
  };
}
