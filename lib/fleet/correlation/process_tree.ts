/**
 * Lineages: a program's start, whatever it starts in turn, and what they all do, on one host. The parent is who the
 * kernel named at the exec, or else who the agent named afterwards. An exit ends a process, so a pid that comes again is a
 * new one; without an exit seen, another parent tells.
 *
 * A lineage takes new processes for as long as the longest window of its rules, and events for twice as long: what
 * started last has its full window too.
 */
import { AgedMap } from "./aged_map.ts";
import { EVENT_TYPES, type EventType } from "../../events/event.ts";
import { closeGroup, type GroupSink, type Limits, listSome, memberOf, type RecordId } from "./group.ts";
import type { CloseReason, Doubt, FleetEvent, GroupMember, MemberRole, RuleOfKind } from "./correlated_group.ts";
import { isFlow, matches, type Timed } from "./record.ts";

const US_PER_MS = 1_000;

interface Process {
  pid: number;
  /** null where it was never told. */
  ppid: number | null;
  lineage: number;
  /** Under which what it does stands. */
  member: number | null;
}

interface Lineage {
  key: string;
  agent: string;
  first: RecordId;
  startUs: number;
  /** Of the first event. */
  pid: number;
  comm: string;
  filename: string;
  processes: number;
  alive: number;
  members: GroupMember[];
  leftOut: number;
  doubts: Doubt[];
  /** By the steps of all rules: when the latest sequence of events that came this far began; null where none did. */
  reached: (number | null)[];
  complete: boolean[];
}

/** Which step of which rule an event can be. */
interface StepRef {
  rule: number;
  step: number;
  /** Among the steps of all rules. */
  at: number;
}

export class ProcessTrees {
  readonly #rules: RuleOfKind<"process_tree">[];
  readonly #limits: Limits & { processesMax: number };
  readonly #sink: GroupSink;
  readonly #spanUs: number;
  readonly #stepsCount: number;
  /** Those that an event of a type may be, in the order of rules and steps. */
  readonly #stepsByEvent: Map<EventType, StepRef[]>;
  /** By pid and agent, the one heard of least recently first. */
  #processes = new AgedMap<string, Process>();
  #lineages = new AgedMap<number, Lineage>();
  #nextLineage = 0;
  #counts = { processesEvicted: 0, pidReuseGuessed: 0, withoutLineage: 0, openEvicted: 0 };

  constructor(rules: RuleOfKind<"process_tree">[], limits: Limits & { processesMax: number }, sink: GroupSink) {
    this.#rules = rules;
    this.#limits = limits;
    this.#sink = sink;
    this.#spanUs = Math.max(0, ...rules.map(({ windowMs }) => windowMs * US_PER_MS));
    const refs = rules.flatMap(({ steps }, rule) => steps.map((match, step) => ({ rule, step, match })))
      .map((ref, at) => ({ ...ref, at }));
    this.#stepsCount = refs.length;
    const ofType = (type: EventType) => refs.filter(({ match }) => match.event === undefined || match.event === type);
    this.#stepsByEvent = new Map(EVENT_TYPES.map((type) => [type, ofType(type)]));
  }

  get counts() {
    return { ...this.#counts, processes: this.#processes.size, open: this.#lineages.size };
  }

  /** In the order of the host's times. */
  add(timed: Timed<FleetEvent>): void {
    if (this.#rules.length === 0) return;
    const { event } = timed.record;
    if (event.pid === 0) return;
    switch (event.event) {
      case "process_exec":
        this.#exec(timed, event.ppid ?? timed.record.enrichment?.ppid ?? 0);
        break;
      case "process_exit":
        this.#exit(timed);
        break;
      default:
        this.#act(timed);
    }
  }

  /** Closes what cannot grow any more. */
  closeBefore(watermarkOf: (agent: string) => number): void {
    for (const [id, lineage] of this.#lineages) {
      if (lineage.startUs + 2 * this.#spanUs < watermarkOf(lineage.agent)) this.#close(id, lineage, "window");
    }
  }

  flush(): void {
    for (const [id, lineage] of this.#lineages) this.#close(id, lineage, "flush");
  }

  #exec(timed: Timed<FleetEvent>, ppid: number): void {
    const { record } = timed;
    const key = processKey(record.agent, record.event.pid);
    let known = this.#processes.get(key);
    if (known !== undefined && known.ppid !== null && known.ppid !== ppid) {
      this.#counts.pidReuseGuessed++;
      this.#leave(known);
      known = undefined;
    }
    const lineage = known === undefined
      ? this.#lineageForChild(record.agent, ppid, timed)
      : this.#lineageForEvent(known, timed.timeUs) ?? this.#open(timed);
    // A program that replaces itself stands under what it was.
    const above = known?.lineage === lineage.id ? known.member : this.#memberOf(record.agent, ppid, lineage.id);
    const member = this.#addMember(lineage.open, timed, "process", above);
    if (known === undefined || known.lineage !== lineage.id) {
      lineage.open.processes++;
      lineage.open.alive++;
    }
    this.#remember(key, { pid: record.event.pid, ppid, lineage: lineage.id, member: member ?? above });
    this.#advance(lineage.open, timed);
  }

  #exit(timed: Timed<FleetEvent>): void {
    const { record } = timed;
    const key = processKey(record.agent, record.event.pid);
    const process = this.#processes.get(key);
    if (process === undefined) return;
    this.#processes.delete(key);
    const lineage = this.#lineages.get(process.lineage);
    if (lineage === undefined) return;
    if (this.#isOver(lineage, timed.timeUs)) {
      this.#close(process.lineage, lineage, "window");
      return;
    }
    this.#addMember(lineage, timed, "exit", process.member);
    this.#end(lineage, process, record.unixNs);
    this.#advance(lineage, timed);
    lineage.alive--;
    if (lineage.alive === 0) this.#close(process.lineage, lineage, "ended");
  }

  #act(timed: Timed<FleetEvent>): void {
    const { record, timeUs } = timed;
    const steps = this.#stepsOf(record);
    if (steps.length === 0) return;
    const key = processKey(record.agent, record.event.pid);
    const process = this.#processes.get(key) ?? this.#adopt(timed);
    const begins = steps.some(({ step }) => step === 0);
    const current = process && this.#lineageForEvent(process, timeUs);
    if (!current && !begins) {
      this.#counts.withoutLineage++;
      return;
    }
    const lineage = current ?? this.#open(timed);
    const member = process && process.lineage === lineage.id ? process.member : null;
    this.#addMember(lineage.open, timed, "step", member);
    if (!current) {
      lineage.open.processes++;
      lineage.open.alive++;
      lineage.open.doubts.push(...process ? [] : ["history_lost" as const]);
    }
    const ppid = process?.ppid ?? record.enrichment?.ppid ?? null;
    this.#remember(key, { pid: record.event.pid, ppid, lineage: lineage.id, member });
    this.#advance(lineage.open, timed, steps);
  }

  /** A process whose start was not seen, because it runs its parent's program: known by what the agent says. */
  #adopt({ record, timeUs }: Timed<FleetEvent>): Process | undefined {
    const ppid = record.enrichment?.ppid;
    if (ppid === undefined) return undefined;
    const parent = this.#processes.get(processKey(record.agent, ppid));
    const lineage = parent && this.#lineageForEvent(parent, timeUs);
    if (!lineage || timeUs - lineage.open.startUs > this.#spanUs) return undefined;
    if (!lineage.open.doubts.includes("parent_from_enrichment")) lineage.open.doubts.push("parent_from_enrichment");
    lineage.open.processes++;
    lineage.open.alive++;
    const process = { pid: record.event.pid, ppid, lineage: lineage.id, member: parent.member };
    this.#remember(processKey(record.agent, record.event.pid), process);
    return process;
  }

  /** The parent's, while it takes new processes; or a new one. */
  #lineageForChild(agent: string, ppid: number, timed: Timed<FleetEvent>): { id: number; open: Lineage } {
    const parent = this.#processes.get(processKey(agent, ppid));
    const current = parent && this.#lineageForEvent(parent, timed.timeUs);
    if (current && timed.timeUs - current.open.startUs <= this.#spanUs) return current;
    return this.#open(timed);
  }

  #lineageForEvent(process: Process, timeUs: number): { id: number; open: Lineage } | null {
    const open = this.#lineages.get(process.lineage);
    if (open === undefined) return null;
    if (!this.#isOver(open, timeUs)) return { id: process.lineage, open };
    this.#close(process.lineage, open, "window");
    return null;
  }

  #isOver(lineage: Lineage, timeUs: number): boolean {
    return timeUs - lineage.startUs > 2 * this.#spanUs;
  }

  #memberOf(agent: string, pid: number, lineage: number): number | null {
    const process = this.#processes.get(processKey(agent, pid));
    return process?.lineage === lineage ? process.member : null;
  }

  #open({ record, timeUs }: Timed<FleetEvent>): { id: number; open: Lineage } {
    if (this.#lineages.size >= this.#limits.openMax) {
      const [id, oldest] = this.#lineages.takeOldest()!;
      this.#counts.openEvicted++;
      this.#close(id, oldest, "evicted");
    }
    const { agent, sequence, event } = record;
    const open: Lineage = {
      key: `${agent}/${event.pid}`,
      agent,
      first: { agent, sequence },
      startUs: timeUs,
      pid: event.pid,
      comm: event.comm,
      filename: event.event === "process_exec" ? event.filename : record.enrichment?.exe ?? event.comm,
      processes: 0,
      alive: 0,
      members: [],
      leftOut: 0,
      doubts: [],
      reached: new Array(this.#stepsCount).fill(null),
      complete: new Array(this.#rules.length).fill(false),
    };
    const id = this.#nextLineage++;
    this.#lineages.set(id, open);
    return { id, open };
  }

  /** @returns its index, or null where there was no room */
  #addMember(
    lineage: Lineage,
    { record }: Timed<FleetEvent>,
    role: MemberRole,
    parent: number | null,
  ): number | null {
    if (!this.#limits.members.take(lineage.members.length)) {
      lineage.leftOut++;
      return null;
    }
    // Until its exit is seen, a process lasts at least as long as what it did.
    if (parent !== null && lineage.members[parent].endUnixNs < record.unixNs) {
      lineage.members[parent].endUnixNs = record.unixNs;
    }
    return lineage.members.push(memberOf(record, role, parent)) - 1;
  }

  /** Moves each rule's progress on by one event. */
  #advance(lineage: Lineage, { record, timeUs }: Timed<FleetEvent>, steps = this.#stepsOf(record)): void {
    // Later steps first: one event is one step.
    for (let i = steps.length - 1; i >= 0; i--) {
      const { rule, step, at } = steps[i];
      const began = step === 0 ? timeUs : lineage.reached[at - 1];
      if (began === null || timeUs - began > this.#rules[rule].windowMs * US_PER_MS) continue;
      lineage.reached[at] = began;
      if (step === this.#rules[rule].steps.length - 1) lineage.complete[rule] = true;
    }
  }

  #stepsOf(record: FleetEvent): StepRef[] {
    const possible = this.#stepsByEvent.get(record.event.event)!;
    return possible.filter(({ rule, step }) => matches(this.#rules[rule].steps[step], record));
  }

  /** The process's own span ends with it, and so do those of the programs that it was before. */
  #end(lineage: Lineage, process: Process, unixNs: bigint): void {
    for (let at = process.member; at !== null;) {
      const member = lineage.members[at];
      if (isFlow(member.record) || member.record.event.pid !== process.pid) return;
      member.endUnixNs = unixNs;
      at = member.parent;
    }
  }

  /** A process is gone without an exit seen. */
  #leave(process: Process): void {
    const lineage = this.#lineages.get(process.lineage);
    if (lineage === undefined) return;
    lineage.alive--;
    if (!lineage.doubts.includes("history_lost")) lineage.doubts.push("history_lost");
    if (lineage.alive === 0) this.#close(process.lineage, lineage, "ended");
  }

  #remember(key: string, process: Process): void {
    this.#processes.renew(key, process);
    if (this.#processes.size <= this.#limits.processesMax) return;
    const [, oldest] = this.#processes.takeOldest()!;
    this.#counts.processesEvicted++;
    this.#leave(oldest);
  }

  #close(id: number, lineage: Lineage, closed: CloseReason): void {
    this.#lineages.delete(id);
    this.#limits.members.give(lineage.members.length);
    if (lineage.members.length === 0) return;
    for (const [index, rule] of this.#rules.entries()) {
      if (!lineage.complete[index]) continue;
      this.#sink(closeGroup(rule, {
        key: lineage.key,
        first: lineage.first,
        members: lineage.members,
        membersLeftOut: lineage.leftOut,
        closed,
        doubts: lineage.doubts,
        words: wordsOf(lineage),
      }));
    }
  }

  save() {
    return {
      processes: this.#processes.saved,
      lineages: this.#lineages.saved,
      nextLineage: this.#nextLineage,
      counts: this.#counts,
    };
  }

  load({ processes, lineages, nextLineage, counts }: ReturnType<ProcessTrees["save"]>): void {
    this.#processes = new AgedMap(processes);
    this.#lineages = new AgedMap(lineages);
    this.#nextLineage = nextLineage;
    this.#counts = counts;
  }
}

function processKey(agent: string, pid: number): string {
  return `${pid}/${agent}`;
}

function wordsOf(lineage: Lineage): Record<string, string | number> {
  const peers: string[] = [];
  const paths: string[] = [];
  let exits = 0;
  for (const { record } of lineage.members) {
    if (isFlow(record)) continue;
    const { event } = record;
    if (event.event === "network_connect") peers.push(peerOf(event));
    else if (event.event === "file_open") paths.push(event.path);
    else if (event.event === "process_exit") exits++;
  }
  return {
    host: lineage.agent,
    comm: lineage.comm,
    pid: lineage.pid,
    filename: lineage.filename,
    processes: lineage.processes,
    connects: peers.length,
    opens: paths.length,
    peers: listSome(peers),
    paths: listSome(paths),
    exits,
  };
}

function peerOf({ family, address, port }: { family: string; address: string; port: number }): string {
  if (family === "unix") return address;
  return family === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
}
