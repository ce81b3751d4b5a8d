/**
 * Event time: how far it has come, by the times in the records. A host's watermark is the time before which no more
 * records are expected of that host; the fleet's watermark is the lowest of its hosts' watermarks.
 *
 * A host sends more severe records first, and the records of each severity in the order of their time. After an outage
 * its most severe records are therefore from the present while the others are still from the past. A record of one
 * severity, on the other hand, shows that no more severe record was waiting. So a host's progress is that of its least
 * severe records, among the severities that may still have some, less the lateness allowed. A severity may still have
 * records
 *
 * - for `latenessMs` after its last record, or after its host came back from a silence of that length,
 * - for `idleMs` while the host sends old records.
 *
 * The watermark of a host that sends nothing at all for `idleMs` follows the newest record of the fleet at a distance, so
 * that a silent host does not hold up the others. When the host comes back, its own watermark counts again, so that the
 * records which it kept meanwhile are in time. The fleet's watermark waits for no host longer than `idleMs`.
 */
import { SEVERITIES } from "../../events/event.ts";
import type { FleetRecord } from "./correlated_group.ts";
import { madeUnixNsOf, severityOf, toUs } from "./record.ts";

const US_PER_MS = 1_000;

export interface EventTimeOptions {
  latenessMs: number;
  idleMs: number;
  agentsMax: number;
}

interface SeverityClock {
  newestUs: number;
  heardUs: number;
}

/** Times that begin with `heard` are by the listener's clock; the others are by the records. */
interface AgentClock {
  heardUs: number;
  /** When the host was first heard of, or first heard of again after a silence. */
  backUs: number;
  /** When the host last sent a record that had waited for longer than the lateness allowed. */
  behindUs: number;
  /** One for each severity, the least severe first. Saved states hold this name. */
  lanes: SeverityClock[];
  /** Only grows, even when the order of records is forced. */
  watermarkUs: number;
}

export class EventTime {
  readonly #latenessUs: number;
  readonly #idleUs: number;
  readonly #agentsMax: number;
  #agents = new Map<string, AgentClock>();
  #newestUs = -Infinity;
  /** The wall clock as `advance` told it; null before. */
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

  /** The fleet's watermark as of the last call of `settle`. */
  get watermarkUs(): number {
    return this.#watermarkUs;
  }

  /** The watermark of a host; for an unknown host, that of a silent one. */
  watermarkOf(agent: string): number {
    const clock = this.#agents.get(agent);
    if (clock === undefined) return this.#floorUs;
    const isSilent = this.#nowUs - clock.heardUs > this.#idleUs;
    return isSilent ? Math.max(clock.watermarkUs, this.#floorUs) : clock.watermarkUs;
  }

  /** The lower bound of the fleet's watermark and of that of a silent host. */
  get #floorUs(): number {
    return this.#newestUs - this.#idleUs - this.#latenessUs;
  }

  get #nowUs(): number {
    return this.#toldUs ?? this.#newestUs;
  }

  /** The host's own watermark, silent or not: older records of this host are refused once the host is heard of again. */
  ownWatermarkOf(agent: string): number {
    return this.#agents.get(agent)?.watermarkUs ?? this.#floorUs;
  }

  /** Takes note of a record, late or not. @returns the host that was forgotten to make room, or null */
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
    const severity = clock.lanes[SEVERITIES.length - 1 - SEVERITIES.indexOf(severityOf(record))];
    severity.newestUs = Math.max(severity.newestUs, timeUs);
    severity.heardUs = nowUs;
    this.#follow(clock);
    return isNew && this.#agents.size > this.#agentsMax ? this.#evictOldest() : null;
  }

  /** Tells the wall clock, so that time goes on where no records come. */
  advance(nowUs: number): void {
    this.#toldUs = Math.max(this.#toldUs ?? -Infinity, nowUs);
    this.#newestUs = Math.max(this.#newestUs, nowUs);
  }

  /** Raises a host's watermark: older records of this host are refused from now on. */
  raise(agent: string, watermarkUs: number): void {
    const clock = this.#agents.get(agent);
    if (clock !== undefined) clock.watermarkUs = Math.max(clock.watermarkUs, watermarkUs);
  }

  /** Raises the fleet's watermark. */
  raiseAll(watermarkUs: number): void {
    this.#watermarkUs = Math.max(this.#watermarkUs, watermarkUs);
  }

  /** Computes all watermarks again. */
  settle(): void {
    let least = this.#agents.size === 0 ? this.#floorUs : Infinity;
    for (const clock of this.#agents.values()) {
      this.#follow(clock);
      least = Math.min(least, clock.watermarkUs);
    }
    this.#watermarkUs = Math.max(this.#watermarkUs, least, this.#floorUs);
  }

  /**
   * Moves a host's watermark to the newest record of the least severe severity that may still have records, less the
   * lateness allowed.
   */
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

  /** Forgets the host that was silent for longest. The search takes linear time, but happens only above the limit. */
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
