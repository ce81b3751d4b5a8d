/**
 * What the correlation engine takes and gives. Types and names only. Times are nanoseconds since the epoch, as the agent
 * converted them from its kernel's clock.
 */
import type { FlowRow } from "../../aggregate/windows/flow_window.ts";
import type { RouterEvent, Severity } from "../../events/event.ts";
import type { RuleMatch } from "../../events/rule_set.ts";

/** What an agent knows of a process beyond the event itself. */
export interface Enrichment {
  /** Path of the program. */
  exe?: string;
  /** The parent process, when the event happened. */
  ppid?: number;
  user?: string;
  containerId?: string;
  podUid?: string;
  service?: string;
}

/** An event of one host of the fleet. */
export interface FleetEvent {
  /** Host id. */
  agent: string;
  /** An agent never gives one number to two records, flows and restarts included: pairs of both identify a record. */
  sequence: number;
  unixNs: bigint;
  event: RouterEvent;
  enrichment?: Enrichment;
}

/** A flow of one window of one host. */
export interface FleetFlow {
  agent: string;
  sequence: number;
  /** The window. */
  startUnixNs: bigint;
  endUnixNs: bigint;
  /** What the host's CLOCK_MONOTONIC, in which the flow's times are, lacks to the time since the epoch. */
  bootUnixNs: bigint;
  flow: FlowRow & { pid?: number; comm?: string; container?: string };
}

export type FleetRecord = FleetEvent | FleetFlow;

export const RULE_KINDS = ["process_tree", "connection_pair", "burst", "pressure"] as const;
export type RuleKind = typeof RULE_KINDS[number];

/** Whose violations are counted together, on one host. */
export const BURST_SUBJECTS = ["user", "container", "process", "host"] as const;
export type BurstSubject = typeof BURST_SUBJECTS[number];

/** What must hold of an event: every member that is there. */
export interface EventMatch extends RuleMatch {
  /** Any of these kinds of security_violation or resource_limit. */
  kinds?: string[];
  /** The signal that ended the process. */
  signal?: number;
  /** At least as severe as this. */
  severity?: Severity;
}

interface RuleBase {
  name: string;
  windowMs: number;
  severity: Severity;
  /** Plain words with `{placeholders}`; those of each kind are in rules.ts. */
  sentence: string;
}

export type CorrelationRule =
  & RuleBase
  & (
    /** The steps happen in this order, in one lineage, within the window. Other events may stand between them. */
    | { kind: "process_tree"; steps: EventMatch[] }
    /** Two hosts see one connection from its two ends within the window. `port`: of either end; absent for all. */
    | { kind: "connection_pair"; port?: number }
    /** At least `threshold` events within the window; it lasts until no event comes for as long. */
    | { kind: "burst"; match: EventMatch; per: BurstSubject; threshold: number }
    /** An effect, on one host, at most the window after the last of at least `threshold` causes. */
    | { kind: "pressure"; cause: EventMatch; effect: EventMatch; threshold: number }
  );

export type RuleOfKind<Kind extends RuleKind> = Extract<CorrelationRule, { kind: Kind }>;

/** What an event is in its group. */
export type MemberRole =
  | "process"
  | "step"
  | "exit"
  | "violation"
  | "cause"
  | "effect"
  | "outbound"
  | "inbound";

export interface GroupMember {
  agent: string;
  sequence: number;
  role: MemberRole;
  /** First and last of what the record stands for: repeats, a process's life, a flow's packets. */
  startUnixNs: bigint;
  endUnixNs: bigint;
  /** Index of the member under which this one happened: the process that did it, or that started it. */
  parent: number | null;
  /** Indexes of members that this one answers to: the other end of a connection, what led to a kill. */
  links: number[];
  record: FleetRecord;
}

/** A reason for which a group is less than certain; lib/fleet/correlation/confidence.ts has what each costs. */
export type Doubt =
  | "parent_from_enrichment"
  | "history_lost"
  | "members_left_out"
  | "closed_early"
  | "sampled"
  | "roles_guessed"
  | "clocks_disagree"
  | "more_than_two_hosts"
  | "same_cgroup_only"
  | "same_host_only";

/** Why a group ended. */
export type CloseReason =
  /** Nothing more came within the window. */
  | "window"
  /** It cannot grow any more: all its processes have exited. */
  | "ended"
  /** It lasted as long as a group may; what follows is a new one. */
  | "span"
  /** Room was needed. */
  | "evicted"
  /** The engine was told to finish. */
  | "flush";

/** Events that belong together. */
export interface CorrelatedGroup {
  /** 32 hex digits, from the rule, the key and the first record: any engine that sees the same gives the same. */
  id: string;
  rule: string;
  kind: RuleKind;
  /** What its members share: a lineage, a connection, a user. */
  key: string;
  severity: Severity;
  sentence: string;
  /** 0 to 1. */
  confidence: number;
  doubts: Doubt[];
  closed: CloseReason;
  startUnixNs: bigint;
  endUnixNs: bigint;
  agents: string[];
  /** In the order of their times. */
  members: GroupMember[];
  /** Members that found no room here. */
  membersLeftOut: number;
}

/** Counters since the start, and what is held now. taken = duplicates + late + future + processed + waiting. */
export interface CorrelationStats {
  taken: number;
  /** Seen before, by agent and sequence. */
  duplicates: number;
  /** Older than their host's watermark: left out. */
  late: number;
  /** Further ahead of the wall clock than may be: left out. */
  future: number;
  processed: number;
  /** Held back until no earlier one can come. */
  waiting: number;
  /** Too late, or too many, to be compared with other hosts; what concerns one host alone used them. */
  lateForPairs: number;
  /** Processed before their time because too many waited. */
  forced: number;
  /** Blocks of sequences forgotten before their time: duplicates of those could pass. */
  sequencesForgotten: number;
  /** Events of a process tree rule whose process has no lineage that was seen. */
  withoutLineage: number;
  processes: number;
  processesEvicted: number;
  /** A pid started anew without an exit seen. */
  pidReuseGuessed: number;
  /** Groups in the making, complete or not. */
  open: number;
  openEvicted: number;
  members: number;
  membersLeftOut: number;
  agents: number;
  agentsEvicted: number;
  /** Groups given out, by rule. */
  groups: { rule: string; count: number }[];
}

/** What an engine may hold, and how long it waits. */
export interface CorrelationOptions {
  /** Records may come so much later than newer ones of their host, beside what event_time.ts says of a backlog. */
  latenessMs: number;
  /** The longest that the fleet waits for a silent host, or for a severity of a host that has a backlog. */
  idleMs: number;
  /** Records may be so far ahead of the wall clock, where one is told. Above `idleMs`, one wrong clock makes others late. */
  aheadMaxMs: number;
  /** A group that goes on for longer is closed, and a new one opened. In windows of its rule. */
  spanWindows: number;
  waitingMax: number;
  processesMax: number;
  openMax: number;
  /** Of one group, and of all open ones together. */
  groupMembersMax: number;
  membersMax: number;
  agentsMax: number;
  /** Blocks of 1,024 sequences that are remembered. */
  sequenceBlocksMax: number;
}

export const CORRELATION_DEFAULTS: CorrelationOptions = {
  latenessMs: 5_000,
  idleMs: 60_000,
  aheadMaxMs: 60_000,
  spanWindows: 10,
  waitingMax: 200_000,
  processesMax: 100_000,
  openMax: 20_000,
  groupMembersMax: 200,
  membersMax: 200_000,
  agentsMax: 10_000,
  sequenceBlocksMax: 65_536,
};
