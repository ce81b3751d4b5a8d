/**
 * How far time has come, by the records themselves. A host's watermark says that nothing older is expected of it: its
 * newest record less the lateness allowed. The fleet's is that of the host furthest behind. A silent host's watermark
 * follows the newest record of all at a distance of `idleMs`, so that it holds nobody up for ever.
 */
const US_PER_MS = 1_000;

export interface EventTimeOptions {
  latenessMs: number;
  idleMs: number;
  agentsMax: number;
}

interface AgentClock {
  newestUs: number;
  /** Never goes back, even when the records' order is forced. */
  watermarkUs: number;
}

export class EventTime {
  readonly #latenessUs: number;
  readonly #idleUs: number;
  readonly #agentsMax: number;
  /** The host heard of least recently first. */
  #agents = new Map<string, AgentClock>();
  #newestUs = -Infinity;
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

  watermarkOf(agent: string): number {
    return Math.max(this.#agents.get(agent)?.watermarkUs ?? -Infinity, this.#floorUs);
  }

  /** Below this nobody's watermark is. */
  get #floorUs(): number {
    return this.#newestUs - this.#idleUs - this.#latenessUs;
  }

  /** Takes note of a record's time. @returns the host that had to be forgotten to make room, or null */
  observe(agent: string, timeUs: number): string | null {
    this.#newestUs = Math.max(this.#newestUs, timeUs);
    const clock = this.#agents.get(agent);
    if (clock !== undefined) {
      if (timeUs <= clock.newestUs) return null;
      clock.newestUs = timeUs;
      clock.watermarkUs = Math.max(clock.watermarkUs, timeUs - this.#latenessUs);
      return null;
    }
    this.#agents.set(agent, { newestUs: timeUs, watermarkUs: timeUs - this.#latenessUs });
    if (this.#agents.size <= this.#agentsMax) return null;
    return this.#evictOldest();
  }

  /** The wall clock: time goes on where no records come. */
  advance(nowUs: number): void {
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

  /** Finds the fleet's watermark anew. */
  settle(): void {
    let least = this.#agents.size === 0 ? this.#floorUs : Infinity;
    for (const { watermarkUs } of this.#agents.values()) least = Math.min(least, watermarkUs);
    this.#watermarkUs = Math.max(this.#watermarkUs, least, this.#floorUs);
  }

  /** The one that was silent for longest; found by looking, which happens only when there are too many. */
  #evictOldest(): string {
    let oldest = "";
    let oldestUs = Infinity;
    for (const [agent, { newestUs }] of this.#agents) {
      if (newestUs < oldestUs) [oldest, oldestUs] = [agent, newestUs];
    }
    this.#agents.delete(oldest);
    this.#evicted++;
    return oldest;
  }

  save() {
    return {
      agents: this.#agents,
      newestUs: this.#newestUs,
      watermarkUs: this.#watermarkUs,
      evicted: this.#evicted,
    };
  }

  load(state: { agents: Map<string, AgentClock>; newestUs: number; watermarkUs: number; evicted: number }): void {
    this.#agents = state.agents;
    this.#newestUs = state.newestUs;
    this.#watermarkUs = state.watermarkUs;
    this.#evicted = state.evicted;
  }
}
