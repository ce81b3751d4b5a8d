/**
 * A host runs short of something, then processes are killed. A kill belongs to the causes of its own process where there
 * are any, else to those of its cgroup, else to the host's, which is the least certain.
 */
import { AgedMap } from "./aged_map.ts";
import { closeGroup, type GroupSink, type Limits, listSome, memberOf, type RecordId } from "./group.ts";
import type { CloseReason, Doubt, FleetEvent, GroupMember, MemberRole, RuleOfKind } from "./correlated_group.ts";
import { eventsIn, isFlow, matches, type Timed } from "./record.ts";

const US_PER_MS = 1_000;
/** Causes of one window that are remembered, where the threshold does not ask for more. */
const CAUSES_MAX = 100;
/** Of which the sentence can speak. */
const VICTIMS_MAX = 100;

interface Cause extends RecordId {
  timeUs: number;
  events: number;
  pid: number;
  cgroupId: bigint;
}

interface Pressure {
  rule: number;
  agent: string;
  /** Of the last cause: kills do not prolong the pressure. */
  lastUs: number;
  /** Of the last window. */
  causes: Cause[];
  causesEvents: number;
  /** Causes, and from the first kill on everything. */
  members: GroupMember[];
  leftOut: number;
  /** What the first kill found. */
  begun: {
    first: RecordId;
    startUs: number;
    kills: number;
    victims: string[];
    doubts: Doubt[];
  } | null;
}

export class Pressures {
  readonly #rules: RuleOfKind<"pressure">[];
  readonly #limits: Limits;
  readonly #sink: GroupSink;
  /** By rule and agent, the one begun least recently first. */
  #pressures = new AgedMap<string, Pressure>();
  #openEvicted = 0;

  constructor(rules: RuleOfKind<"pressure">[], limits: Limits, sink: GroupSink) {
    this.#rules = rules;
    this.#limits = limits;
    this.#sink = sink;
  }

  get counts() {
    return { open: this.#pressures.size, openEvicted: this.#openEvicted };
  }

  /** In the order of the host's times. */
  add(timed: Timed<FleetEvent>): void {
    for (let rule = 0; rule < this.#rules.length; rule++) {
      const { cause, effect } = this.#rules[rule];
      // An effect first: what is both does not lead to itself.
      if (matches(effect, timed.record)) this.#addEffect(rule, timed);
      else if (matches(cause, timed.record)) this.#addCause(rule, timed);
    }
  }

  closeBefore(watermarkOf: (agent: string) => number): void {
    for (const [key, pressure] of this.#pressures) {
      const isOver = pressure.lastUs + this.#windowUs(pressure.rule) < watermarkOf(pressure.agent);
      if (isOver) this.#close(key, pressure, "window");
    }
  }

  flush(): void {
    for (const [key, pressure] of this.#pressures) this.#close(key, pressure, "flush");
  }

  #addCause(rule: number, timed: Timed<FleetEvent>): void {
    const { record, timeUs } = timed;
    const pressure = this.#current(rule, timed) ?? this.#open(rule, timed);
    const { agent, sequence, event } = record;
    const events = eventsIn(record);
    pressure.lastUs = timeUs;
    pressure.causes.push({ agent, sequence, timeUs, events, pid: event.pid, cgroupId: event.cgroupId });
    pressure.causesEvents += events;
    this.#addMember(pressure, record, "cause");
    this.#trim(pressure, timeUs);
  }

  #addEffect(rule: number, timed: Timed<FleetEvent>): void {
    const { record, timeUs } = timed;
    const pressure = this.#current(rule, timed);
    if (pressure === null) return;
    this.#trim(pressure, timeUs);
    const { causes } = pressure;
    if (pressure.begun === null) {
      if (pressure.causesEvents < this.#rules[rule].threshold) return;
      const [{ agent, sequence, timeUs: startUs }] = causes;
      pressure.begun = { first: { agent, sequence }, startUs, kills: 0, victims: [], doubts: [] };
    }
    const { event } = record;
    const [isCause, doubt] = closest(causes, event);
    // Where the shortage has taken its own, a stranger's end is his own affair.
    if (doubt === "same_host_only" && pressure.begun.kills > 0 && !pressure.begun.doubts.includes(doubt)) return;
    if (doubt !== null && !pressure.begun.doubts.includes(doubt)) pressure.begun.doubts.push(doubt);
    pressure.begun.kills++;
    if (pressure.begun.victims.length < VICTIMS_MAX) pressure.begun.victims.push(`${event.comm} (pid ${event.pid})`);
    const member = this.#addMember(pressure, record, "effect");
    if (member === null) return;
    for (const [index, { role, record }] of pressure.members.entries()) {
      if (role === "cause" && !isFlow(record) && isCause(record.event)) member.links.push(index);
    }
  }

  /** @returns it, or null where there was no room */
  #addMember(pressure: Pressure, record: FleetEvent, role: "cause" | "effect"): GroupMember | null {
    if (!this.#limits.members.take(pressure.members.length)) {
      pressure.leftOut++;
      return null;
    }
    const member = memberOf(record, role);
    pressure.members.push(member);
    return member;
  }

  /** The one that this event can belong to. */
  #current(rule: number, { record, timeUs }: Timed<FleetEvent>): Pressure | null {
    const key = `${rule}/${record.agent}`;
    const pressure = this.#pressures.get(key);
    if (pressure === undefined) return null;
    const isPast = timeUs - pressure.lastUs > this.#windowUs(rule);
    const startUs = pressure.begun?.startUs ?? timeUs;
    if (!isPast && timeUs - startUs <= this.#windowUs(rule) * this.#limits.spanWindows) return pressure;
    this.#close(key, pressure, isPast ? "window" : "span");
    return null;
  }

  /** Until there is a kill, causes older than the window do not count and are not kept. */
  #trim(pressure: Pressure, timeUs: number): void {
    const { causes, begun, members } = pressure;
    const windowUs = this.#windowUs(pressure.rule);
    let old = 0;
    while (old < causes.length && timeUs - causes[old].timeUs > windowUs) old++;
    // A flood of causes: the latest decide, and the others stay counted as members.
    old = Math.max(old, causes.length - Math.max(CAUSES_MAX, this.#rules[pressure.rule].threshold));
    if (old === 0) return;
    for (const { events } of causes.splice(0, old)) pressure.causesEvents -= events;
    if (begun !== null) return;
    const [oldest] = causes;
    const kept = oldest === undefined
      ? members.length
      : members.findIndex(({ sequence, agent }) => sequence === oldest.sequence && agent === oldest.agent);
    if (kept <= 0) return;
    members.splice(0, kept);
    this.#limits.members.give(kept);
  }

  #open(rule: number, { record, timeUs }: Timed<FleetEvent>): Pressure {
    if (this.#pressures.size >= this.#limits.openMax) {
      const [oldestKey, oldest] = this.#pressures.takeOldest()!;
      this.#openEvicted++;
      this.#close(oldestKey, oldest, "evicted");
    }
    const pressure: Pressure = {
      rule,
      agent: record.agent,
      lastUs: timeUs,
      causes: [],
      causesEvents: 0,
      members: [],
      leftOut: 0,
      begun: null,
    };
    this.#pressures.set(`${rule}/${record.agent}`, pressure);
    return pressure;
  }

  #windowUs(rule: number): number {
    return this.#rules[rule].windowMs * US_PER_MS;
  }

  #close(key: string, { rule, agent, members: held, leftOut, begun }: Pressure, closed: CloseReason): void {
    this.#pressures.delete(key);
    this.#limits.members.give(held.length);
    if (begun === null || held.length === 0) return;
    // What came after the last kill led to none.
    const lastKill = held.findLastIndex(({ role }) => role === "effect");
    const members = lastKill < 0 ? held : held.slice(0, lastKill + 1);
    const causes = eventsOf(members, "cause");
    const [killed] = eventsOf(members, "effect");
    this.#sink(closeGroup(this.#rules[rule], {
      key: agent,
      first: begun.first,
      members,
      membersLeftOut: leftOut,
      closed,
      doubts: begun.doubts,
      words: {
        host: agent,
        comm: killed?.event.comm ?? "a process",
        pid: killed?.event.pid ?? 0,
        causes: causes.reduce((sum, record) => sum + eventsIn(record), 0),
        kinds: listSome(causes.map(({ event }) => "kind" in event ? event.kind : event.event)),
        kills: begun.kills,
        victims: listSome(begun.victims),
      },
    }));
  }

  save() {
    return { pressures: this.#pressures.saved, openEvicted: this.#openEvicted };
  }

  load({ pressures, openEvicted }: ReturnType<Pressures["save"]>): void {
    this.#pressures = new AgedMap(pressures);
    this.#openEvicted = openEvicted;
  }
}

/** Which causes a kill answers to, and what that leaves in doubt. */
function closest(
  causes: readonly Cause[],
  { pid, cgroupId }: { pid: number; cgroupId: bigint },
): [isCause: (event: { pid: number; cgroupId: bigint }) => boolean, doubt: Doubt | null] {
  if (causes.some((cause) => cause.pid === pid)) return [(event) => event.pid === pid, null];
  if (causes.some((cause) => cause.cgroupId === cgroupId)) {
    return [(event) => event.cgroupId === cgroupId, "same_cgroup_only"];
  }
  return [() => true, "same_host_only"];
}

function eventsOf(members: readonly GroupMember[], wanted: MemberRole): FleetEvent[] {
  return members.flatMap(({ role, record }) => role === wanted && !isFlow(record) ? [record] : []);
}
