/**
 * Between what this program holds and the messages of lib/fleet/proto/ebpfmon.proto. Nothing is rounded: what is 64 bits
 * wide crosses as such. What a newer peer says and this version does not know comes out as null.
 */
import { type Direction, OTHER_CLASSES } from "../wire/traffic.ts";
import type { FlowRow, FlowWindow, Traffic, WindowRetransmits } from "../aggregate/windows/flow_window.ts";
import type * as proto from "./proto/ebpfmon.gen.ts";
import { EVENT_TYPES, RINGS, type RouterEvent, SEVERITIES, type Severity } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";
import type { EnrichedEvent, EventEnrichment, FleetAlert, FleetFilter, Lane } from "./fleet_types.ts";

// Numbers on the wire are one more than places in the lists: 0 stands for unspecified.

export function severityNumber(severity: Severity): number {
  return SEVERITIES.indexOf(severity) + 1;
}

/** @returns null for a number that this version does not know */
export function severityOf(number: number): Severity | null {
  return SEVERITIES[number - 1] ?? null;
}

const FAMILIES = ["ipv4", "ipv6", "unix"] as const;
const DIRECTIONS = ["ingress", "egress"] as const satisfies readonly Direction[];

const ZERO = 0n;

/** Most results are 0. */
function wide(value: number): bigint {
  return value === 0 ? ZERO : BigInt(value);
}

export function encodeEvent({ event, enrichment }: EnrichedEvent): proto.Event {
  const message: proto.Event = {
    type: EVENT_TYPES.indexOf(event.event) + 1,
    severity: severityNumber(event.severity),
    tsNs: event.tsNs,
    cpu: event.cpu,
    pid: event.pid,
    tid: event.tid,
    uid: event.uid,
    comm: event.comm,
    cgroupId: event.cgroupId,
    result: wide(event.result),
    weight: event.weight,
    repeats: event.repeats,
    firstNs: event.firstNs,
    spilled: event.spilled,
    rulesGeneration: event.rulesGeneration,
    unreadable: event.unreadable ?? false,
    incomplete: event.incomplete ?? false,
    processExec: undefined,
    processExit: undefined,
    fileOpen: undefined,
    networkConnect: undefined,
    tcpState: undefined,
    securityViolation: undefined,
    resourceLimit: undefined,
    enrichment: enrichment && encodeEnrichment(enrichment),
  };
  switch (event.event) {
    case "process_exec":
      message.processExec = {
        filename: event.filename,
        argv: event.argv,
        argvTruncated: event.argvTruncated,
        ppid: event.ppid ?? 0,
      };
      break;
    case "process_exit":
      message.processExit = { exitCode: event.exitCode ?? 0, signal: event.signal ?? 0 };
      break;
    case "file_open":
      message.fileOpen = {
        path: event.path,
        pathTruncated: event.pathTruncated,
        flags: wide(event.flags),
        syscall: event.syscall,
      };
      break;
    case "network_connect":
      message.networkConnect = {
        family: FAMILIES.indexOf(event.family) + 1,
        address: event.address,
        port: event.port,
      };
      break;
    case "tcp_state":
      message.tcpState = {
        family: FAMILIES.indexOf(event.family) + 1,
        src: event.src,
        dst: event.dst,
        sport: event.sport,
        dport: event.dport,
        oldState: event.oldState,
        newState: event.newState,
      };
      break;
    case "security_violation":
      message.securityViolation = { kind: event.kind, syscall: event.syscall, detail: event.detail };
      break;
    case "resource_limit":
      message.resourceLimit = { kind: event.kind, syscall: event.syscall, detail: event.detail };
      break;
    default:
      event satisfies never;
  }
  return message;
}

/** @returns null for an event of a type or severity that this version does not know */
export function decodeEvent(message: proto.Event): EnrichedEvent | null {
  const type = EVENT_TYPES[message.type - 1];
  const severity = severityOf(message.severity);
  if (type === undefined || severity === null) return null;
  const base = {
    severity,
    tsNs: message.tsNs,
    cpu: message.cpu,
    pid: message.pid,
    tid: message.tid,
    uid: message.uid,
    comm: message.comm,
    cgroupId: message.cgroupId,
    result: Number(message.result),
    weight: message.weight,
    repeats: message.repeats,
    firstNs: message.firstNs,
    spilled: message.spilled,
    rulesGeneration: message.rulesGeneration,
    ...(message.unreadable ? { unreadable: true as const } : {}),
    ...(message.incomplete ? { incomplete: true as const } : {}),
  };
  const event = withDetail(type, base, message);
  if (event === null) return null;
  return message.enrichment ? { event, enrichment: decodeEnrichment(message.enrichment) } : { event };
}

type Base = Omit<RouterEvent, "event">;

function withDetail(type: RouterEvent["event"], base: Base, message: proto.Event): RouterEvent | null {
  switch (type) {
    case "process_exec": {
      const detail = message.processExec;
      if (!detail) return null;
      const { filename, argv, argvTruncated, ppid } = detail;
      return { ...base, event: type, filename, argv, argvTruncated, ...!base.incomplete && { ppid } };
    }
    case "process_exit": {
      const detail = message.processExit;
      if (!detail) return null;
      const { exitCode, signal } = detail;
      return { ...base, event: type, ...!base.incomplete && { exitCode, signal } };
    }
    case "file_open": {
      const detail = message.fileOpen;
      if (!detail) return null;
      const { path, pathTruncated, flags, syscall } = detail;
      return { ...base, event: type, path, pathTruncated, flags: Number(flags), syscall };
    }
    case "network_connect": {
      const detail = message.networkConnect;
      const family = detail && FAMILIES[detail.family - 1];
      return family ? { ...base, event: type, family, address: detail.address, port: detail.port } : null;
    }
    case "tcp_state": {
      const detail = message.tcpState;
      const family = detail && FAMILIES[detail.family - 1];
      if (!family || family === "unix") return null;
      const { src, dst, sport, dport, oldState, newState } = detail;
      return { ...base, event: type, family, src, dst, sport, dport, oldState, newState };
    }
    case "security_violation":
    case "resource_limit": {
      const detail = type === "resource_limit" ? message.resourceLimit : message.securityViolation;
      return detail
        ? { ...base, event: type, kind: detail.kind, syscall: detail.syscall, detail: detail.detail }
        : null;
    }
  }
}

function encodeEnrichment(enrichment: EventEnrichment): proto.Enrichment {
  return {
    exe: enrichment.exe ?? "",
    ppid: enrichment.ppid,
    parentName: enrichment.parentName ?? "",
    user: enrichment.user ?? "",
    containerId: enrichment.containerId ?? "",
    podUid: enrichment.podUid ?? "",
    service: enrichment.service ?? "",
    category: enrichment.category ?? "",
    priority: enrichment.priority ?? 0,
  };
}

function decodeEnrichment(message: proto.Enrichment): EventEnrichment {
  const enrichment: EventEnrichment = {};
  if (message.exe) enrichment.exe = message.exe;
  if (message.ppid !== undefined) enrichment.ppid = message.ppid;
  if (message.parentName) enrichment.parentName = message.parentName;
  if (message.user) enrichment.user = message.user;
  if (message.containerId) enrichment.containerId = message.containerId;
  if (message.podUid) enrichment.podUid = message.podUid;
  if (message.service) enrichment.service = message.service;
  if (message.category) enrichment.category = message.category;
  if (message.priority) enrichment.priority = message.priority;
  return enrichment;
}

function encodeTraffic({ packets, bytes }: Traffic): proto.Traffic {
  return { packets: BigInt(packets), bytes: BigInt(bytes) };
}

function decodeTraffic(message: proto.Traffic | undefined): Traffic {
  return { packets: Number(message?.packets ?? 0), bytes: Number(message?.bytes ?? 0) };
}

function encodeRetransmits(retransmits: WindowRetransmits): proto.Retransmits {
  const { segments, attributed, unattributed, overflow, forwarded, elsewhere, missedRuns } = retransmits;
  return {
    segments: BigInt(segments),
    attributed: BigInt(attributed),
    unattributed: BigInt(unattributed),
    overflow: BigInt(overflow),
    forwarded: BigInt(forwarded),
    elsewhere: BigInt(elsewhere),
    missedRuns: BigInt(missedRuns),
  };
}

function decodeRetransmits(message: proto.Retransmits): WindowRetransmits {
  const { segments, attributed, unattributed, overflow, forwarded, elsewhere, missedRuns } = message;
  return {
    segments: Number(segments),
    attributed: Number(attributed),
    unattributed: Number(unattributed),
    overflow: Number(overflow),
    forwarded: Number(forwarded),
    elsewhere: Number(elsewhere),
    missedRuns: Number(missedRuns),
  };
}

/**
 * @param rowsMax rows that one message may hold
 * @returns the window in parts: totals are in the first, rows in all
 */
export function encodeWindow(window: FlowWindow, rowsMax: number): proto.Window[] {
  const parts = Math.max(1, Math.ceil(window.top.length / rowsMax));
  return Array.from({ length: parts }, (_, part) => ({
    sequence: BigInt(window.sequence),
    startNs: window.startNs,
    endNs: window.endNs,
    endUnixNs: window.endUnixNs,
    flows: BigInt(part === 0 ? window.flows : 0),
    capacity: BigInt(part === 0 ? window.capacity : 0),
    interfaces: part > 0 ? [] : window.interfaces.map((traffic) => ({
      iface: traffic.iface,
      direction: DIRECTIONS.indexOf(traffic.direction) + 1,
      seen: encodeTraffic(traffic.seen),
      flows: encodeTraffic(traffic.flows),
      overflow: encodeTraffic(traffic.overflow),
      other: Object.fromEntries(OTHER_CLASSES.map((name) => [name, encodeTraffic(traffic.other[name])])),
    })),
    matched: part === 0 ? encodeTraffic(window.matched) : undefined,
    matchedFlows: BigInt(part === 0 ? window.matched.flows : 0),
    top: window.top.slice(part * rowsMax, (part + 1) * rowsMax).map(encodeFlow),
    swapSeconds: part === 0 ? window.swapSeconds : 0,
    drainSeconds: part === 0 ? window.drainSeconds : 0,
    programs: part > 0 ? [] : window.programs.map(({ program, runs, runNs }) => ({ program, runs, runNs })),
    part,
    parts,
    attribution: part === 0 && window.attribution
      ? {
        attributed: encodeTraffic(window.attribution.attributed),
        unattributed: encodeTraffic(window.attribution.unattributed),
        unasked: encodeTraffic(window.attribution.unasked),
      }
      : undefined,
    retransmits: part === 0 && window.retransmits ? encodeRetransmits(window.retransmits) : undefined,
  }));
}

function encodeFlow(flow: FlowRow): proto.Flow {
  return {
    iface: flow.iface,
    direction: DIRECTIONS.indexOf(flow.direction) + 1,
    src: flow.src,
    dst: flow.dst,
    sport: flow.sport,
    dport: flow.dport,
    proto: flow.proto,
    packets: BigInt(flow.packets),
    bytes: BigInt(flow.bytes),
    tcpFlags: flow.tcpFlags,
    firstSeenNs: flow.firstSeenNs,
    lastSeenNs: flow.lastSeenNs,
    pid: flow.pid,
    comm: flow.comm,
    container: flow.container,
    exe: flow.exe,
    podUid: flow.podUid,
    retransmits: flow.retransmits === undefined ? undefined : BigInt(flow.retransmits),
  };
}

/** @returns null for a flow of a direction that this version does not know */
export function decodeFlow(message: proto.Flow): FlowRow | null {
  const direction = DIRECTIONS[message.direction - 1];
  if (direction === undefined) return null;
  return {
    iface: message.iface,
    direction,
    src: message.src,
    dst: message.dst,
    sport: message.sport,
    dport: message.dport,
    proto: message.proto,
    packets: Number(message.packets),
    bytes: Number(message.bytes),
    tcpFlags: message.tcpFlags,
    firstSeenNs: message.firstSeenNs,
    lastSeenNs: message.lastSeenNs,
    ...(message.pid === undefined ? {} : { pid: message.pid }),
    ...(message.comm === undefined ? {} : { comm: message.comm }),
    ...(message.container === undefined ? {} : { container: message.container }),
    ...(message.exe === undefined ? {} : { exe: message.exe }),
    ...(message.podUid === undefined ? {} : { podUid: message.podUid }),
    ...(message.retransmits === undefined ? {} : { retransmits: Number(message.retransmits) }),
  };
}

/** One message's part of a window: `part` 0 has the totals, each its own rows. */
export function decodeWindow(message: proto.Window): FlowWindow {
  return {
    sequence: Number(message.sequence),
    startNs: message.startNs,
    endNs: message.endNs,
    endUnixNs: message.endUnixNs,
    flows: Number(message.flows),
    capacity: Number(message.capacity),
    interfaces: message.interfaces.flatMap((traffic) => {
      const direction = DIRECTIONS[traffic.direction - 1];
      if (direction === undefined) return [];
      const other = { non_ip: NONE, truncated: NONE, malformed: NONE, fragment: NONE };
      for (const name of OTHER_CLASSES) other[name] = decodeTraffic(traffic.other[name]);
      return [{
        iface: traffic.iface,
        direction,
        seen: decodeTraffic(traffic.seen),
        flows: decodeTraffic(traffic.flows),
        overflow: decodeTraffic(traffic.overflow),
        other,
      }];
    }),
    matched: { ...decodeTraffic(message.matched), flows: Number(message.matchedFlows) },
    top: message.top.map(decodeFlow).filter((flow) => flow !== null),
    swapSeconds: message.swapSeconds,
    drainSeconds: message.drainSeconds,
    programs: message.programs.map(({ program, runs, runNs }) => ({ program, runs, runNs })),
    ...(message.attribution
      ? {
        attribution: {
          attributed: decodeTraffic(message.attribution.attributed),
          unattributed: decodeTraffic(message.attribution.unattributed),
          unasked: decodeTraffic(message.attribution.unasked),
        },
      }
      : {}),
    ...(message.retransmits ? { retransmits: decodeRetransmits(message.retransmits) } : {}),
  };
}

const NONE: Traffic = { packets: 0, bytes: 0 };

export function encodeHealth(health: HealthReport): proto.Health {
  return {
    unixNs: health.unixNs,
    rings: health.rings.map((ring) => ({
      ring: ring.ring,
      submitted: ring.submitted,
      dropped: ring.dropped,
      failures: ring.failures,
      spilled: ring.spilled,
      consumed: ring.consumed,
      fill: ring.fill,
      capacityBytes: BigInt(ring.capacityBytes),
    })),
    droppedByType: health.droppedByType.map(({ event, count }) => ({ type: EVENT_TYPES.indexOf(event) + 1, count })),
    rateLimited: health.rateLimited,
    rateLimitedByPid: health.rateLimitedByPid.map(({ pid, count }) => ({ pid, count })),
    sampledOut: health.sampledOut,
    repeatsSuppressed: health.repeatsSuppressed,
    filtered: health.filtered,
    notices: health.notices ?? [],
  };
}

export function decodeHealth(message: proto.Health): HealthReport {
  return {
    unixNs: message.unixNs,
    rings: message.rings.flatMap((ring) => {
      const name = RINGS.find((name) => name === ring.ring);
      if (name === undefined) return [];
      return [{
        ring: name,
        submitted: ring.submitted,
        dropped: ring.dropped,
        failures: ring.failures,
        spilled: ring.spilled,
        consumed: ring.consumed,
        fill: ring.fill,
        capacityBytes: Number(ring.capacityBytes),
      }];
    }),
    droppedByType: message.droppedByType.flatMap(({ type, count }) => {
      const event = EVENT_TYPES[type - 1];
      return event === undefined ? [] : [{ event, count }];
    }),
    rateLimited: message.rateLimited,
    rateLimitedByPid: message.rateLimitedByPid.map(({ pid, count }) => ({ pid, count })),
    sampledOut: message.sampledOut,
    repeatsSuppressed: message.repeatsSuppressed,
    filtered: message.filtered,
    ...(message.notices.length > 0 ? { notices: message.notices } : {}),
  };
}

export function encodeAlert({ alert, level, message, fields, unixNs }: FleetAlert): proto.Alert {
  const exact = (_: string, value: unknown) =>
    typeof value !== "bigint" ? value : Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return { alert, level, message, fieldsJson: JSON.stringify(fields, exact), unixNs };
}

/** Fields that are not a JSON object come out empty. */
export function decodeAlert(message: proto.Alert): FleetAlert {
  return {
    alert: message.alert,
    level: message.level === "error" ? "error" : "warning",
    message: message.message,
    fields: parseObject(message.fieldsJson),
    unixNs: message.unixNs,
  };
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

export function encodeFilter(filter: FleetFilter): proto.FilterUpdate {
  return {
    generation: BigInt(filter.generation),
    events: filter.events.map((event) => EVENT_TYPES.indexOf(event) + 1),
    severity: filter.severity === null ? 0 : severityNumber(filter.severity),
    nets: filter.nets,
    debugSampling: filter.debugSampling,
  };
}

/** Event types that this version does not know are left out; it has none of them to send. */
export function decodeFilter(message: proto.FilterUpdate): FleetFilter {
  return {
    generation: Number(message.generation),
    events: message.events.map((number) => EVENT_TYPES[number - 1]).filter((event) => event !== undefined),
    severity: severityOf(message.severity),
    nets: message.nets,
    debugSampling: Math.max(1, message.debugSampling),
  };
}

/** A place in a lane's sequence. */
export interface Position {
  lane: Lane;
  sequence: number;
}

export function encodePosition({ lane, sequence }: Position): proto.LanePosition {
  return { lane: severityNumber(lane), sequence: BigInt(sequence) };
}

/** Positions of lanes that this version does not know are left out. */
export function decodePositions(messages: proto.LanePosition[]): Position[] {
  return messages.flatMap(({ lane, sequence }) => {
    const known = severityOf(lane);
    return known === null ? [] : [{ lane: known, sequence: Number(sequence) }];
  });
}
