/** Many events of one user, container, process or host in little time. */
import { AgedMap } from "./aged_map.ts";
import { closeGroup, type GroupSink, type Limits, listSome, memberOf, type RecordId } from "./group.ts";
import type { BurstSubject, CloseReason, FleetEvent, GroupMember, RuleOfKind } from "./correlated_group.ts";
import { eventsIn, matches, type Timed } from "./record.ts";

const US_PER_MS = 1_000;

interface Seen extends RecordId {
  timeUs: number;
  events: number;
  kind: string;
  comm: string;
  pid: number;
  /** null where there was no room. */
  member: GroupMember | null;
}

interface Burst {
  rule: number;
  agent: string;
  subject: string;
  lastUs: number;
  /** Until there are enough: those of one window. */
  pending: Seen[];
  pendingEvents: number;
  /** From then on. */
  begun:
    | { first: Seen; startUs: number; events: number; kinds: string[]; members: GroupMember[]; leftOut: number }
    | null;
}

export class Bursts {
  readonly #rules: RuleOfKind<"burst">[];
  readonly #limits: Limits;
  readonly #sink: GroupSink;
  /** By rule, subject and agent, the one begun least recently first. */
  #bursts = new AgedMap<string, Burst>();
  #openEvicted = 0;

  constructor(rules: RuleOfKind<"burst">[], limits: Limits, sink: GroupSink) {
    this.#rules = rules;
    this.#limits = limits;
    this.#sink = sink;
  }

  get counts() {
    return { open: this.#bursts.size, openEvicted: this.#openEvicted };
  }

  /** In the order of the host's times. */
  add(timed: Timed<FleetEvent>): void {
    for (let rule = 0; rule < this.#rules.length; rule++) {
      if (!matches(this.#rules[rule].match, timed.record)) continue;
      const subject = subjectOf(timed.record, this.#rules[rule].per);
      if (subject !== null) this.#count(rule, subject, timed);
    }
  }

  closeBefore(watermarkOf: (agent: string) => number): void {
    for (const [key, burst] of this.#bursts) {
      const isOver = burst.lastUs + this.#windowUs(burst.rule) < watermarkOf(burst.agent);
      if (isOver) this.#close(key, burst, "window");
    }
  }

  flush(): void {
    for (const [key, burst] of this.#bursts) this.#close(key, burst, "flush");
  }

  #count(rule: number, subject: string, timed: Timed<FleetEvent>): void {
    const { record, timeUs } = timed;
    const key = `${rule}/${subject}/${record.agent}`;
    const windowUs = this.#windowUs(rule);
    let burst = this.#bursts.get(key);
    if (burst?.begun) {
      const isPast = timeUs - burst.lastUs > windowUs;
      const isLong = timeUs - burst.begun.startUs > windowUs * this.#limits.spanWindows;
      if (isPast || isLong) {
        this.#close(key, burst, isPast ? "window" : "span");
        burst = undefined;
      }
    }
    burst ??= this.#open(key, { rule, agent: record.agent, subject, timeUs });
    burst.lastUs = timeUs;
    const seen = this.#see(burst, timed);
    if (burst.begun) this.#grow(burst.begun, seen);
    else this.#collect(burst, seen, windowUs);
  }

  #see({ begun, pending }: Burst, { record, timeUs }: Timed<FleetEvent>): Seen {
    const { event, agent, sequence } = record;
    const hasRoom = this.#limits.members.take((begun?.members ?? pending).length);
    return {
      agent,
      sequence,
      timeUs,
      events: eventsIn(record),
      kind: "kind" in event ? event.kind : event.event,
      comm: event.comm,
      pid: event.pid,
      member: hasRoom ? memberOf(record, "violation") : null,
    };
  }

  #collect(burst: Burst, seen: Seen, windowUs: number): void {
    burst.pending.push(seen);
    burst.pendingEvents += seen.events;
    const kept = burst.pending.findIndex(({ timeUs }) => seen.timeUs - timeUs <= windowUs);
    for (const { events, member } of burst.pending.splice(0, kept)) {
      burst.pendingEvents -= events;
      if (member !== null) this.#limits.members.give(1);
    }
    if (burst.pendingEvents < this.#rules[burst.rule].threshold) return;
    const [first] = burst.pending;
    burst.begun = { first, startUs: first.timeUs, events: 0, kinds: [], members: [], leftOut: 0 };
    for (const earlier of burst.pending) this.#grow(burst.begun, earlier);
    burst.pending = [];
    burst.pendingEvents = 0;
  }

  #grow(begun: NonNullable<Burst["begun"]>, { events, kind, member }: Seen): void {
    begun.events += events;
    if (!begun.kinds.includes(kind)) begun.kinds.push(kind);
    if (member === null) begun.leftOut++;
    else begun.members.push(member);
  }

  #open(key: string, { timeUs, ...whose }: Pick<Burst, "rule" | "agent" | "subject"> & { timeUs: number }): Burst {
    if (this.#bursts.size >= this.#limits.openMax) {
      const [oldestKey, oldest] = this.#bursts.takeOldest()!;
      this.#openEvicted++;
      this.#close(oldestKey, oldest, "evicted");
    }
    const burst: Burst = { ...whose, lastUs: timeUs, pending: [], pendingEvents: 0, begun: null };
    this.#bursts.set(key, burst);
    return burst;
  }

  #windowUs(rule: number): number {
    return this.#rules[rule].windowMs * US_PER_MS;
  }

  #close(key: string, { rule: index, agent, subject, pending, begun }: Burst, closed: CloseReason): void {
    this.#bursts.delete(key);
    this.#limits.members.give(pending.filter(({ member }) => member !== null).length);
    if (begun === null) return;
    this.#limits.members.give(begun.members.length);
    if (begun.members.length === 0) return;
    const rule = this.#rules[index];
    const { first, events, kinds, members, leftOut } = begun;
    this.#sink(closeGroup(rule, {
      key: `${agent}/${rule.per}/${subject}`,
      first,
      members,
      membersLeftOut: leftOut,
      closed,
      doubts: [],
      words: { host: agent, subject, events, kinds: listSome(kinds), comm: first.comm, pid: first.pid },
    }));
  }

  save() {
    return { bursts: this.#bursts.saved, openEvicted: this.#openEvicted };
  }

  load({ bursts, openEvicted }: ReturnType<Bursts["save"]>): void {
    this.#bursts = new AgedMap(bursts);
    this.#openEvicted = openEvicted;
  }
}

/** Who it is counted for; null where the record does not say. */
function subjectOf({ event, enrichment, agent }: FleetEvent, per: BurstSubject): string | null {
  switch (per) {
    case "user":
      // By number: a name may be missing from one record and there in the next.
      return String(event.uid);
    case "container":
      return enrichment?.containerId ?? null;
    case "process":
      return String(event.pid);
    case "host":
      return agent;
    default:
      return per satisfies never;
  }
}
