/**
 * A correlated group as a trace: a span for the group, and below it a span for each member. What a process did stands
 * below the process, a process below the one that started it; the two ends of a connection, and a kill and its causes,
 * are linked. Ids come from the group's, so a group that is given out again has the same ones.
 *
 * Names of attributes are those of the semantic conventions; what they have no name for begins with `ebpfmon.`.
 */
import { createHash } from "node:crypto";
import {
  type Attributes,
  type HrTime,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
} from "@opentelemetry/api";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { protocolName } from "../../net/iana.ts";
import { isKnown } from "../../events/subject.ts";
import { networkAttributes } from "../../events/types/network_attributes.ts";
import { descriptionOf } from "../../events/types/mod.ts";
import type { CorrelatedGroup, FleetEvent, FleetFlow, GroupMember } from "../correlation/correlated_group.ts";

const SERVICE_NAME = "ebpfmon";
const SCOPE = { name: "ebpfmon.correlation" };
const NS_PER_S = 1_000_000_000n;
const SPAN_ID_HEX_DIGITS = 16;
const ROOT = "root";
const RESOURCES_MAX = 10_000;
const NO_TIME: HrTime = [0, 0];

/** Makes spans. It keeps one resource object a host, because the exporter groups spans by the identity of that object. */
export class SpanMaker {
  #resources = new Map<string, Resource>();

  /** The trace of a group: its root first, then one span a member, in the members' order. */
  spansOf(group: CorrelatedGroup): ReadableSpan[] {
    const root = contextOf(group, ROOT);
    const contexts = group.members.map((_, index) => contextOf(group, String(index)));
    return [
      this.#span({
        name: group.rule,
        context: root,
        agent: group.agents[0],
        times: [group.startUnixNs, group.endUnixNs],
        attributes: groupAttributes(group),
        isError: group.severity === "critical" || group.severity === "error",
        message: group.sentence,
      }),
      ...group.members.map((member, index) =>
        this.#span({
          name: nameOf(member),
          kind: kindOf(member),
          context: contexts[index],
          parent: member.parent === null ? root : contexts[member.parent],
          agent: member.agent,
          times: [member.startUnixNs, member.endUnixNs],
          attributes: memberAttributes(member),
          links: member.links.map((link) => ({ context: contexts[link] })),
        })
      ),
    ];
  }

  #span(
    { name, kind = SpanKind.INTERNAL, context, parent, agent, times, attributes, links = [], isError, message }: {
      name: string;
      kind?: SpanKind;
      context: SpanContext;
      parent?: SpanContext;
      agent: string;
      times: [startNs: bigint, endNs: bigint];
      attributes: Attributes;
      links?: ReadableSpan["links"];
      isError?: boolean;
      message?: string;
    },
  ): ReadableSpan {
    const [startNs, endNs] = times;
    return {
      name,
      kind,
      spanContext: () => context,
      ...parent && { parentSpanContext: parent },
      startTime: hrTime(startNs),
      endTime: hrTime(endNs),
      duration: endNs > startNs ? hrTime(endNs - startNs) : NO_TIME,
      status: isError ? { code: SpanStatusCode.ERROR, message } : { code: SpanStatusCode.UNSET },
      attributes,
      links,
      events: [],
      ended: true,
      resource: this.#resourceOf(agent),
      instrumentationScope: SCOPE,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }

  #resourceOf(agent: string): Resource {
    let resource = this.#resources.get(agent);
    if (resource === undefined) {
      // A fleet has no more hosts than this; were it so, one resource would be written twice.
      if (this.#resources.size >= RESOURCES_MAX) this.#resources.clear();
      resource = resourceFromAttributes({ "service.name": SERVICE_NAME, "host.name": agent });
      this.#resources.set(agent, resource);
    }
    return resource;
  }
}

function contextOf(group: CorrelatedGroup, part: string): SpanContext {
  const spanId = createHash("sha256").update(`${group.id}/${part}`).digest("hex").slice(0, SPAN_ID_HEX_DIGITS);
  return { traceId: group.id, spanId, traceFlags: TraceFlags.SAMPLED };
}

function hrTime(ns: bigint): HrTime {
  return [Number(ns / NS_PER_S), Number(ns % NS_PER_S)];
}

function nameOf({ record }: GroupMember): string {
  if ("flow" in record) return `flow ${protocolName(record.flow.proto)}`;
  const { event } = record;
  return descriptionOf(event.event).span.name?.(event) ?? event.event;
}

function kindOf({ role, record }: GroupMember): SpanKind {
  if (role === "outbound") return SpanKind.CLIENT;
  if (role === "inbound") return SpanKind.SERVER;
  const isClient = !("flow" in record) && descriptionOf(record.event.event).span.isClient;
  return isClient ? SpanKind.CLIENT : SpanKind.INTERNAL;
}

function groupAttributes(group: CorrelatedGroup): Attributes {
  return {
    "ebpfmon.group.rule": group.rule,
    "ebpfmon.group.kind": group.kind,
    "ebpfmon.group.key": group.key,
    "ebpfmon.group.severity": group.severity,
    "ebpfmon.group.sentence": group.sentence,
    "ebpfmon.group.confidence": group.confidence,
    "ebpfmon.group.doubts": group.doubts,
    "ebpfmon.group.closed": group.closed,
    "ebpfmon.group.hosts": group.agents,
    "ebpfmon.group.members": group.members.length,
    "ebpfmon.group.members_left_out": group.membersLeftOut,
  };
}

function memberAttributes({ role, sequence, record }: GroupMember): Attributes {
  return {
    "ebpfmon.member.role": role,
    "ebpfmon.record.sequence": sequence,
    ..."flow" in record ? flowAttributes(record) : eventAttributes(record),
  };
}

function flowAttributes({ flow }: FleetFlow): Attributes {
  const { direction, src, dst, sport, dport, proto, packets, bytes, pid, comm, container } = flow;
  const [local, peer] = direction === "egress" ? [[src, sport], [dst, dport]] : [[dst, dport], [src, sport]];
  return {
    ...networkAttributes(protocolName(proto), local as [string, number], peer as [string, number]),
    "network.interface.name": flow.iface,
    "network.io.direction": direction === "egress" ? "transmit" : "receive",
    "ebpfmon.flow.packets": packets,
    "ebpfmon.flow.bytes": bytes,
    ...pid !== undefined && { "process.pid": pid },
    ...comm !== undefined && { "process.executable.name": comm },
    ...container !== undefined && { "container.id": container },
  };
}

function eventAttributes({ event, enrichment = {} }: FleetEvent): Attributes {
  const { exe, ppid, user, containerId, podUid, service } = enrichment;
  return {
    "ebpfmon.event.type": event.event,
    "ebpfmon.event.severity": event.severity,
    "ebpfmon.event.result": event.result,
    ...event.repeats > 1 && { "ebpfmon.event.repeats": event.repeats },
    ...event.weight > 1 && { "ebpfmon.event.weight": event.weight },
    "process.pid": event.pid,
    "process.executable.name": exe === undefined ? event.comm : exe.slice(exe.lastIndexOf("/") + 1),
    ...isKnown(event, "uid") && { "user.id": String(event.uid) },
    ...exe !== undefined && { "process.executable.path": exe },
    ...ppid !== undefined && { "process.parent_pid": ppid },
    ...user !== undefined && { "process.owner": user },
    ...containerId !== undefined && { "container.id": containerId },
    ...podUid !== undefined && { "k8s.pod.uid": podUid },
    ...service !== undefined && { "ebpfmon.service": service },
    ...descriptionOf(event.event).span.attributes(event),
  };
}
