/** What all kinds of groups share: members within bounds, ids, sentences. */
import { createHash } from "node:crypto";
import { escapeControls } from "../../runtime/text.ts";
import { confidenceOf } from "./confidence.ts";
import type {
  CloseReason,
  CorrelatedGroup,
  CorrelationRule,
  Doubt,
  FleetRecord,
  GroupMember,
  MemberRole,
} from "./correlated_group.ts";
import { isFlow, startUnixNsOf, unixNsOf } from "./record.ts";

const ID_HEX_DIGITS = 32;
const LISTED_MAX = 3;

export type GroupSink = (group: CorrelatedGroup) => void;

/** A correlator's limits, and how much room it takes. */
export interface Limits {
  spanWindows: number;
  openMax: number;
  members: MemberBudget;
}

/** Counts the members of all open groups together. */
export class MemberBudget {
  readonly #groupMax: number;
  readonly #max: number;
  #held = 0;
  #leftOut = 0;

  constructor(groupMax: number, max: number) {
    this.#groupMax = groupMax;
    this.#max = max;
  }

  get held(): number {
    return this.#held;
  }

  get leftOut(): number {
    return this.#leftOut;
  }

  /** Takes a place in a group that has this many members, if there is one; counts it if there is none. */
  take(groupMembers: number): boolean {
    if (groupMembers >= this.#groupMax || this.#held >= this.#max) {
      this.#leftOut++;
      return false;
    }
    this.#held++;
    return true;
  }

  give(members: number): void {
    this.#held -= members;
  }

  save() {
    return { held: this.#held, leftOut: this.#leftOut };
  }

  load({ held, leftOut }: { held: number; leftOut: number }): void {
    this.#held = held;
    this.#leftOut = leftOut;
  }
}

export function memberOf(record: FleetRecord, role: MemberRole, parent: number | null = null): GroupMember {
  return {
    agent: record.agent,
    sequence: record.sequence,
    role,
    startUnixNs: startUnixNsOf(record),
    endUnixNs: unixNsOf(record),
    parent,
    links: [],
    record,
  };
}

/** What tells a record from all others. */
export interface RecordId {
  agent: string;
  sequence: number;
}

/** The doubts that any group may have. */
function commonDoubts(members: readonly GroupMember[], leftOut: number, closed: CloseReason): Doubt[] {
  const isSampled = members.some(({ record }) => !isFlow(record) && record.event.weight > 1);
  return [
    ...leftOut > 0 ? ["members_left_out" as const] : [],
    ...closed === "evicted" || closed === "flush" ? ["closed_early" as const] : [],
    ...isSampled ? ["sampled" as const] : [],
  ];
}

/** A group as it is given out. */
export function closeGroup(
  rule: CorrelationRule,
  { key, first, members, membersLeftOut, closed, doubts, words }: {
    key: string;
    first: RecordId;
    members: GroupMember[];
    membersLeftOut: number;
    closed: CloseReason;
    doubts: readonly Doubt[];
    words: Record<string, string | number>;
  },
): CorrelatedGroup {
  let [startUnixNs, endUnixNs] = [members[0].startUnixNs, members[0].endUnixNs];
  for (const member of members) {
    if (member.startUnixNs < startUnixNs) startUnixNs = member.startUnixNs;
    if (member.endUnixNs > endUnixNs) endUnixNs = member.endUnixNs;
  }
  const all = [...new Set([...doubts, ...commonDoubts(members, membersLeftOut, closed)])];
  const seconds = (Number(endUnixNs - startUnixNs) / 1e9).toFixed(1);
  return {
    id: groupId(rule.name, key, first),
    rule: rule.name,
    kind: rule.kind,
    key,
    severity: rule.severity,
    sentence: fill(rule.sentence, { count: members.length + membersLeftOut, seconds, ...words }),
    confidence: confidenceOf(all),
    doubts: all,
    closed,
    startUnixNs,
    endUnixNs,
    agents: [...new Set(members.map(({ agent }) => agent))],
    members,
    membersLeftOut,
  };
}

/** `a, b, c and 4 more`. */
export function listSome(values: Iterable<string>): string {
  const distinct = [...new Set(values)];
  const more = distinct.length - LISTED_MAX;
  if (more > 0) return `${distinct.slice(0, LISTED_MAX).join(", ")} and ${more} more`;
  return distinct.length === 0 ? "nothing" : distinct.join(", ");
}

function groupId(rule: string, key: string, { agent, sequence }: RecordId): string {
  const text = JSON.stringify([rule, key, agent, sequence]);
  return createHash("sha256").update(text).digest("hex").slice(0, ID_HEX_DIGITS);
}

/** What comes from the hosts may be meant to deceive: control characters are made visible. */
function fill(sentence: string, words: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => escapeControls(String(words[name] ?? "?")));
}
