/** Events to their messages of ebpfmon.proto, and back. */

import type * as proto from "./proto/ebpfmon.gen.ts";
import { EVENT_TYPES, type RouterEvent } from "../events/event.ts";
import type { EnrichedEvent, EventEnrichment } from "./enriched_event.ts";
import { severityNumber, severityOf } from "./codec.ts";

const FAMILIES = ["ipv4", "ipv6", "unix"] as const;

/** Most results are 0. */
function wide(value: number): bigint {
  return value === 0 ? 0n : BigInt(value);
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
