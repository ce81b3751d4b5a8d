/**
 * The correlation engine: records of a fleet in, groups of records that belong together out. Pure: time comes from the
 * records, and the same records give the same groups in whatever order they come, as long as none is late.
 *
 * Records wait until their host's watermark has passed them and are then taken in the order of their times. So a group
 * is given out no earlier than `latenessMs` after its end. Connections, which concern two hosts, wait for the fleet's
 * watermark in a buffer of their own. What watermarks follow is in event_time.ts.
 */
import { Bursts } from "./bursts.ts";
import { ConnectionPairs } from "./connection_pairs.ts";
import { EventTime } from "./event_time.ts";
import { type GroupSink, type Limits, MemberBudget } from "./group.ts";
import type { CorrelationPart } from "./partition.ts";
import { Pressures } from "./pressure.ts";
import { ProcessTrees } from "./process_tree.ts";
import {
  type CorrelatedGroup,
  CORRELATION_DEFAULTS,
  type CorrelationOptions,
  type CorrelationRule,
  type CorrelationStats,
  type FleetEvent,
  type FleetRecord,
} from "./correlated_group.ts";
import { isFlow, type Timed, toUs, unixNsOf } from "./record.ts";
import { ReorderBuffer } from "./reorder_buffer.ts";
import { rulesOfKind } from "./rules.ts";
import { SeenSequences } from "./seen_sequences.ts";
import { decodeState, encodeState } from "./state_text.ts";

const US_PER_MS = 1_000;
/** Time that passes, by the records, until watermarks and what they close are looked at again. */
const SETTLE_US = 100_000;
const STATE_VERSION = 2;

export class CorrelationEngine {
  readonly #rules: readonly CorrelationRule[];
  readonly #options: CorrelationOptions;
  readonly #onGroup: GroupSink;
  readonly #time: EventTime;
  readonly #seen: SeenSequences;
  readonly #members: MemberBudget;
  readonly #trees: ProcessTrees;
  readonly #bursts: Bursts;
  readonly #pressures: Pressures;
  readonly #pairs: ConnectionPairs;
  /** What waits for its host's watermark, by agent. */
  #waiting = new Map<string, ReorderBuffer>();
  #waitingCount = 0;
  /** Whose buffer was the largest when it last grew: who catches up makes room before the others do. */
  #fullest = "";
  /** What waits for the fleet's. Those here alone, and not in `#waiting` too, are counted apart. */
  readonly #waitingPairs = new ReorderBuffer();
  #waitingPairsOnly = 0;
  #settledUs = -Infinity;
  #nowUs: number | null = null;
  #counts = { taken: 0, duplicates: 0, late: 0, future: 0, processed: 0, lateForPairs: 0, forced: 0 };
  #groups = new Map<string, number>();

  /**
   * @param rules those to apply; see `withBuiltin`
   * @param onGroup called with each group once, when it is closed
   */
  constructor(
    rules: readonly CorrelationRule[],
    onGroup: (group: CorrelatedGroup) => void,
    options: Partial<CorrelationOptions> = {},
  ) {
    this.#rules = rules;
    this.#onGroup = onGroup;
    this.#options = { ...CORRELATION_DEFAULTS, ...options };
    const { spanWindows, openMax, processesMax, groupMembersMax, membersMax, sequenceBlocksMax } = this.#options;
    this.#time = new EventTime(this.#options);
    this.#seen = new SeenSequences(sequenceBlocksMax);
    this.#members = new MemberBudget(groupMembersMax, membersMax);
    const limits: Limits = { spanWindows, openMax, members: this.#members };
    const sink: GroupSink = (group) => this.#give(group);
    this.#trees = new ProcessTrees(rulesOfKind(rules, "process_tree"), { ...limits, processesMax }, sink);
    this.#bursts = new Bursts(rulesOfKind(rules, "burst"), limits, sink);
    this.#pressures = new Pressures(rulesOfKind(rules, "pressure"), limits, sink);
    this.#pairs = new ConnectionPairs(rulesOfKind(rules, "connection_pair"), limits, sink);
  }

  /** @param part what the record is for, where `partitionKeys` sent it here; absent where there is one engine */
  add(record: FleetRecord, part?: CorrelationPart): void {
    this.#counts.taken++;
    const { agent } = record;
    const timed: Timed = { timeUs: toUs(unixNsOf(record)), record };
    if (this.#nowUs !== null && timed.timeUs > this.#nowUs + this.#options.aheadMaxMs * US_PER_MS) {
      this.#counts.future++;
      return;
    }
    const isForHost = part !== "connection" && !(isFlow(record) && part === undefined);
    // Before anything is late: a host that comes back is judged by how far it had come itself.
    const evicted = this.#time.observe(record, timed.timeUs);
    if (evicted !== null) this.#release(evicted, Infinity);
    const watermarkUs = isForHost ? this.#time.watermarkOf(agent) : this.#time.watermarkUs;
    if (timed.timeUs < watermarkUs) {
      this.#counts.late++;
      return;
    }
    if (!this.#seen.add({ agent, sequence: record.sequence, part }, timed.timeUs)) {
      this.#counts.duplicates++;
      return;
    }

    if (isForHost) this.#hold(agent, timed);
    if (part !== "host" && this.#pairs.takes(record)) this.#holdPair(timed, isForHost);
    else if (!isForHost) this.#counts.processed++; // of no use to any rule
    if (isForHost) this.#release(agent, this.#time.watermarkOf(agent));
    if (this.#time.newestUs - this.#settledUs >= SETTLE_US) this.#settle();
  }

  /** Tells the wall clock's time, so that groups close when nothing comes. Also from then on nothing is far ahead of it. */
  advance(unixNs: bigint): void {
    this.#nowUs = toUs(unixNs);
    this.#time.advance(this.#nowUs);
    this.#settle();
  }

  /** Takes everything that waits and closes all groups: the end of a run. */
  flush(): void {
    for (const agent of [...this.#waiting.keys()]) this.#release(agent, Infinity);
    this.#releasePairs(Infinity);
    this.#trees.flush();
    this.#bursts.flush();
    this.#pressures.flush();
    this.#pairs.flush();
  }

  stats(): CorrelationStats {
    const parts = [this.#trees.counts, this.#bursts.counts, this.#pressures.counts, this.#pairs.counts];
    const { processes, processesEvicted, pidReuseGuessed, withoutLineage } = this.#trees.counts;
    return {
      ...this.#counts,
      waiting: this.#waitingCount + this.#waitingPairsOnly,
      sequencesForgotten: this.#seen.forgotten,
      withoutLineage,
      processes,
      processesEvicted,
      pidReuseGuessed,
      open: parts.reduce((sum, { open }) => sum + open, 0),
      openEvicted: parts.reduce((sum, { openEvicted }) => sum + openEvicted, 0),
      members: this.#members.held,
      membersLeftOut: this.#members.leftOut,
      agents: this.#time.agents,
      agentsEvicted: this.#time.agentsEvicted,
      groups: [...this.#groups].map(([rule, count]) => ({ rule, count })),
    };
  }

  /**
   * All that an engine needs to go on where this one is, as text. Who also keeps the stream's position can start again
   * from both: records that came in between come again, and give the same groups with the same ids.
   */
  snapshot(): string {
    return encodeState({
      version: STATE_VERSION,
      rules: this.#rules,
      time: this.#time.save(),
      seen: this.#seen.save(),
      members: this.#members.save(),
      trees: this.#trees.save(),
      bursts: this.#bursts.save(),
      pressures: this.#pressures.save(),
      pairs: this.#pairs.save(),
      fullest: this.#fullest,
      waiting: new Map([...this.#waiting].map(([agent, buffer]) => [agent, buffer.save()])),
      waitingPairs: this.#waitingPairs.save(),
      waitingPairsOnly: this.#waitingPairsOnly,
      settledUs: this.#settledUs,
      nowUs: this.#nowUs,
      counts: this.#counts,
      groups: this.#groups,
    });
  }

  /**
   * Puts a snapshot in the place of this engine's state.
   *
   * @throws {Error} where it was made by another version or with other rules: their groups would not be the same
   */
  restore(snapshot: string): void {
    const state = decodeState(snapshot) as Snapshot;
    if (state.version !== STATE_VERSION) {
      throw new Error(`Cannot restore the correlation's state: it has version ${state.version}, not ${STATE_VERSION}`);
    }
    if (encodeState(state.rules) !== encodeState(this.#rules)) {
      throw new Error("Cannot restore the correlation's state: it was made with other rules");
    }
    this.#time.load(state.time);
    this.#seen.load(state.seen);
    this.#members.load(state.members);
    this.#trees.load(state.trees);
    this.#bursts.load(state.bursts);
    this.#pressures.load(state.pressures);
    this.#pairs.load(state.pairs);
    this.#waiting = new Map();
    this.#waitingCount = 0;
    for (const [agent, heap] of state.waiting) {
      const buffer = new ReorderBuffer();
      buffer.load(heap);
      this.#waiting.set(agent, buffer);
      this.#waitingCount += buffer.size;
    }
    this.#fullest = state.fullest;
    this.#waitingPairs.load(state.waitingPairs);
    this.#waitingPairsOnly = state.waitingPairsOnly;
    this.#settledUs = state.settledUs;
    this.#nowUs = state.nowUs;
    this.#counts = state.counts;
    this.#groups = state.groups;
  }

  #hold(agent: string, timed: Timed): void {
    let buffer = this.#waiting.get(agent);
    if (buffer === undefined) this.#waiting.set(agent, buffer = new ReorderBuffer());
    buffer.add(timed);
    this.#waitingCount++;
    const fullest = this.#waiting.get(this.#fullest);
    if (fullest === undefined || buffer.size >= fullest.size) this.#fullest = agent;
    if (this.#waitingCount + this.#waitingPairsOnly <= this.#options.waitingMax) return;
    // Whoever has most gives one up: its earliest is taken now, and what is older than that is late.
    this.#counts.forced++;
    this.#takeHost(this.#fullest, this.#waiting.get(this.#fullest)!);
  }

  #holdPair(timed: Timed, isForHost: boolean): void {
    if (timed.timeUs < this.#time.watermarkUs) {
      this.#counts.lateForPairs++;
      return;
    }
    this.#waitingPairs.add(isForHost ? timed : { ...timed, alone: true });
    if (!isForHost) this.#waitingPairsOnly++;
    if (this.#waitingPairs.size <= this.#options.waitingMax) return;
    this.#counts.forced++;
    this.#time.raiseAll(this.#waitingPairs.earliestUs);
    this.#takePair();
  }

  /** Takes what a host has before a time. */
  #release(agent: string, beforeUs: number): void {
    const buffer = this.#waiting.get(agent);
    if (buffer === undefined) return;
    while (buffer.earliestUs < beforeUs) this.#takeHost(agent, buffer);
    if (buffer.size === 0) this.#waiting.delete(agent);
  }

  /** What is older than the one that is taken is late from now on, also where the host was silent and comes back. */
  #takeHost(agent: string, buffer: ReorderBuffer): void {
    this.#time.raise(agent, buffer.earliestUs);
    const timed = buffer.take() as Timed<FleetEvent>;
    this.#waitingCount--;
    this.#counts.processed++;
    this.#trees.add(timed);
    this.#bursts.add(timed);
    this.#pressures.add(timed);
  }

  #releasePairs(beforeUs: number): void {
    while (this.#waitingPairs.earliestUs < beforeUs) this.#takePair();
  }

  #takePair(): void {
    const timed = this.#waitingPairs.take()!;
    if (timed.alone) {
      this.#waitingPairsOnly--;
      this.#counts.processed++;
    }
    this.#pairs.add(timed);
  }

  #settle(): void {
    this.#settledUs = this.#time.newestUs;
    this.#time.settle();
    // Silent hosts too: their watermarks follow the others'.
    for (const agent of [...this.#waiting.keys()]) this.#release(agent, this.#time.watermarkOf(agent));
    const watermarkUs = this.#time.watermarkUs;
    this.#releasePairs(watermarkUs);
    const watermarkOf = (agent: string) => this.#time.watermarkOf(agent);
    this.#trees.closeBefore(watermarkOf);
    this.#bursts.closeBefore(watermarkOf);
    this.#pressures.closeBefore(watermarkOf);
    this.#pairs.closeBefore(watermarkUs);
    this.#seen.forgetBefore((agent) => Math.min(watermarkUs, this.#time.ownWatermarkOf(agent)));
  }

  #give(group: CorrelatedGroup): void {
    this.#groups.set(group.rule, (this.#groups.get(group.rule) ?? 0) + 1);
    this.#onGroup(group);
  }
}

/** As `CorrelationEngine.snapshot` writes it. */
interface Snapshot {
  version: number;
  rules: CorrelationRule[];
  time: ReturnType<EventTime["save"]>;
  seen: ReturnType<SeenSequences["save"]>;
  members: ReturnType<MemberBudget["save"]>;
  trees: ReturnType<ProcessTrees["save"]>;
  bursts: ReturnType<Bursts["save"]>;
  pressures: ReturnType<Pressures["save"]>;
  pairs: ReturnType<ConnectionPairs["save"]>;
  fullest: string;
  waiting: Map<string, Timed[]>;
  waitingPairs: Timed[];
  waitingPairsOnly: number;
  settledUs: number;
  nowUs: number | null;
  counts: {
    taken: number;
    duplicates: number;
    late: number;
    future: number;
    processed: number;
    lateForPairs: number;
    forced: number;
  };
  groups: Map<string, number>;
}
