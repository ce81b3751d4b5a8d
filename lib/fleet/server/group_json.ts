/** A correlated group as JSON for the API, and as text that a trace can be made of later. */
import { protocolName } from "../../net/iana.ts";
import { jsonLine, rfc3339 } from "../../export/json_lines.ts";
import { descriptionOf } from "../../events/types/mod.ts";
import type { CorrelatedGroup, FleetRecord, GroupMember } from "../correlation/correlated_group.ts";
import { isFlow } from "../correlation/record.ts";
import { decodeState, encodeState } from "../correlation/state_text.ts";
import type { StoredGroup } from "./store_messages.ts";

/** The row of the store for a group. */
export function storedGroup(group: CorrelatedGroup): StoredGroup {
  const { id, rule, severity, agents, endUnixNs } = group;
  return { id, rule, severity, agents, endUnixNs, json: jsonLine(groupObject(group)).trimEnd() };
}

/** The row of the store for a group whose trace is still to be sent: it holds the whole group too. */
export function untracedGroup(group: CorrelatedGroup): StoredGroup {
  return { ...storedGroup(group), untraced: encodeState(group) };
}

/** @param body as `untracedGroup` gave it */
export function decodeUntraced(body: string): CorrelatedGroup {
  return decodeState(body) as CorrelatedGroup;
}

function groupObject(group: CorrelatedGroup): Record<string, unknown> {
  return {
    type: "group",
    id: group.id,
    rule: group.rule,
    kind: group.kind,
    key: group.key,
    severity: group.severity,
    sentence: group.sentence,
    confidence: group.confidence,
    doubts: group.doubts,
    closed: group.closed,
    start: rfc3339(group.startUnixNs),
    end: rfc3339(group.endUnixNs),
    agents: group.agents,
    members: group.members.map(memberObject),
    members_left_out: group.membersLeftOut,
  };
}

function memberObject(member: GroupMember): Record<string, unknown> {
  return {
    agent: member.agent,
    sequence: member.sequence,
    role: member.role,
    start: rfc3339(member.startUnixNs),
    end: rfc3339(member.endUnixNs),
    parent: member.parent,
    links: member.links,
    ...recordFields(member.record),
  };
}

function recordFields(record: FleetRecord): Record<string, unknown> {
  if (isFlow(record)) {
    const { src, dst, sport, dport, proto, packets, bytes, direction } = record.flow;
    return { flow: { direction, src, dst, sport, dport, proto: protocolName(proto), packets, bytes } };
  }
  const { event, pid, uid, comm, severity } = record.event;
  return { event, severity, pid, uid, comm, about: descriptionOf(event).about(record.event) };
}
