/**
 * How far time has come, by the records themselves. A host's watermark says that nothing older is expected of it; the
 * fleet's is that of the host furthest behind.
 *
 * A host sends what is more severe first, and each severity, its lane, in the order of time. After an outage its most
 * severe lanes are therefore at the present while the others still bring the past. What a lane brings, on the other hand,
 * says that those above it had nothing left. So a host has come as far as the least severe lane of which something is
 * expected, less the lateness allowed. A lane in which nothing comes is expected to bring something
 *
 * - for `latenessMs` after it last did, or after its host came back from a silence as long as that,
 * - for `idleMs` while the host brings what is old.
 *
 * A host from which nothing comes at all for `idleMs` holds nobody up for ever: its watermark follows the newest record of
 * all at a distance. When it comes back, its own counts again, so that what it kept meanwhile is in time. Only the fleet's
 * watermark waits for nobody longer than that.
 */
import { SEVERITIES } from "../../events/event.ts";
import type { FleetRecord } from "./correlated_group.ts";
import { laneOf, madeUnixNsOf, toUs } from "./record.ts";

const US_PER_MS = 1_000;

export interface EventTimeOptions {
  latenessMs: number;
  idleMs: number;
  agentsMax: number;
}

interface LaneClock {
  newestUs: number;
  heardUs: number;
}

/** What is `heard` is by the clock of whoever listens; the rest is by the records. */
interface AgentClock {
  heardUs: number;
  /** When it was first heard of, or for the first time after a silence. */
  backUs: number;
  /** When it last brought a record that had been waiting for long. */
  behindUs: number;
  /** The least severe first. */
  lanes: LaneClock[];
  /** Never goes back, even when the records' order is forced. */
  watermarkUs: number;
}

export class EventTime {
  readonly #latenessUs: number;
  readonly #idleUs: number;
  readonly #agentsMax: number;
  #agents = new Map<string, AgentClock>();
  #newestUs = -Infinity;
  /** The wall clock, where one is told. */
  #toldUs: number | null = null;
  #watermarkUs = -Infinity;
  #evicted = 0;

  constructor({ latenessMs, idleMs, agentsMax }: EventTimeOptions) {
    this.#latenessUs = latenessMs * US_PER_MS;
    this.#idleUs = idleMs * US_PER_MS;
    this.#agentsMax = agentsMax;
  }

  get agents(): number {
    return this.#agents.size;
  }

  get agentsEvicted(): number {
    return this.#evicted;
  }

  get newestUs(): number {
    return this.#newestUs;
  }

  /** Of the fleet, when `settle` was last called. */
  get watermarkUs(): number {
    return this.#watermarkUs;
  }

  /** Of a host that is not known: where it is that of a silent one. */
  watermarkOf(agent: string): number {
    const clock = this.#agents.get(agent);
    if (clock === undefined) return this.#floorUs;
    const isSilent = this.#nowUs - clock.heardUs > this.#idleUs;
    return isSilent ? Math.max(clock.watermarkUs, this.#floorUs) : clock.watermarkUs;
  }

  /** Below this is neither the fleet's watermark, nor a silent host's. */
  get #floorUs(): number {
    return this.#newestUs - this.#idleUs - this.#latenessUs;
  }

  get #nowUs(): number {
    return this.#toldUs ?? this.#newestUs;
  }

  /** Below it nothing of a host is taken once the host is heard of again, however long it was silent. */
  ownWatermarkOf(agent: string): number {
    return this.#agents.get(agent)?.watermarkUs ?? this.#floorUs;
  }

  /** Takes note of a record, late or not. @returns the host that had to be forgotten to make room, or null */
  observe(record: FleetRecord, timeUs: number): string | null {
    const { agent } = record;
    this.#newestUs = Math.max(this.#newestUs, timeUs);
    const nowUs = this.#nowUs;
    let clock = this.#agents.get(agent);
    const isNew = clock === undefined;
    if (clock === undefined) this.#agents.set(agent, clock = newClock(nowUs));
    // By the records alone nobody can tell a silence from records that lie apart.
    else if (this.#toldUs !== null && nowUs - clock.heardUs > this.#latenessUs) clock.backUs = nowUs;
    clock.heardUs = nowUs;
    if (nowUs - toUs(madeUnixNsOf(record)) > this.#latenessUs) clock.behindUs = nowUs;
    const lane = clock.lanes[SEVERITIES.length - 1 - SEVERITIES.indexOf(laneOf(record))];
    lane.newestUs = Math.max(lane.newestUs, timeUs);
    lane.heardUs = nowUs;
    this.#follow(clock);
    return isNew && this.#agents.size > this.#agentsMax ? this.#evictOldest() : null;
  }

  /** The wall clock: time goes on where no records come. */
  advance(nowUs: number): void {
    this.#toldUs = Math.max(this.#toldUs ?? -Infinity, nowUs);
    this.#newestUs = Math.max(this.#newestUs, nowUs);
  }

  /** Nothing older than this is taken of the host from now on. */
  raise(agent: string, watermarkUs: number): void {
    const clock = this.#agents.get(agent);
    if (clock !== undefined) clock.watermarkUs = Math.max(clock.watermarkUs, watermarkUs);
  }

  /** The same for the comparison of hosts. */
  raiseAll(watermarkUs: number): void {
    this.#watermarkUs = Math.max(this.#watermarkUs, watermarkUs);
  }

  /** Finds all watermarks anew. */
  settle(): void {
    let least = this.#agents.size === 0 ? this.#floorUs : Infinity;
    for (const clock of this.#agents.values()) {
      this.#follow(clock);
      least = Math.min(least, clock.watermarkUs);
    }
    this.#watermarkUs = Math.max(this.#watermarkUs, least, this.#floorUs);
  }

  /** Moves a host's watermark to the least severe lane of which something is expected; or to the newest record. */
  #follow(clock: AgentClock): void {
    const nowUs = this.#nowUs;
    // By what it brought, not by the clock: it may fall silent in the middle of its backlog.
    const isBehind = clock.heardUs - clock.behindUs < this.#latenessUs;
    const patienceUs = isBehind ? Math.max(this.#idleUs, this.#latenessUs) : this.#latenessUs;
    let reachedUs = -Infinity;
    for (const { newestUs, heardUs } of clock.lanes) {
      reachedUs = Math.max(reachedUs, newestUs);
      if (nowUs - Math.max(heardUs, clock.backUs) < patienceUs) break;
    }
    clock.watermarkUs = Math.max(clock.watermarkUs, reachedUs - this.#latenessUs);
  }

  /** The one that was silent for longest; found by looking, which happens only when there are too many. */
  #evictOldest(): string {
    let oldest = "";
    let oldestUs = Infinity;
    for (const [agent, { heardUs }] of this.#agents) {
      if (heardUs < oldestUs) [oldest, oldestUs] = [agent, heardUs];
    }
    this.#agents.delete(oldest);
    this.#evicted++;
    return oldest;
  }

  save() {
    return {
      agents: this.#agents,
      newestUs: this.#newestUs,
      toldUs: this.#toldUs,
      watermarkUs: this.#watermarkUs,
      evicted: this.#evicted,
    };
  }

  load(state: ReturnType<EventTime["save"]>): void {
    this.#agents = state.agents;
    this.#newestUs = state.newestUs;
    this.#toldUs = state.toldUs;
    this.#watermarkUs = state.watermarkUs;
    this.#evicted = state.evicted;
  }
}

function newClock(nowUs: number): AgentClock {
  return {
    heardUs: nowUs,
    backUs: nowUs,
    behindUs: -Infinity,
    lanes: SEVERITIES.map(() => ({ newestUs: -Infinity, heardUs: -Infinity })),
    watermarkUs: -Infinity,
  };
}
