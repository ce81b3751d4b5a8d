/** What `agent` has seen, on its way to a server. */
import { monotonicNs } from "../../ffi/libc.ts";
import type { RuleSet } from "../../events/rule_set.ts";
import { RULES_MAX } from "../../events/rules.ts";
import type { AgentCounts } from "../../fleet/agent/agent_metrics.ts";
import { Batcher } from "../../fleet/agent/batcher.ts";
import { CongestionSampling, withFleetFilter } from "../../fleet/agent/fleet_rules.ts";
import { agentId, bootId } from "../../fleet/agent/identity.ts";
import { AgentLink, type LinkOptions } from "../../fleet/agent/link.ts";
import { enrichedEvent } from "../../fleet/agent/pipeline_event.ts";
import { Spool } from "../../fleet/agent/spool.ts";
import { SEVERITIES } from "../../events/event.ts";
import type { FleetFilter } from "../../fleet/fleet_filter.ts";
import { BATCH_RECORDS_MAX } from "../../fleet/sequences.ts";
import { SaidOnce } from "../../fleet/said_once.ts";
import type { PipelineEvent } from "../../pipeline/pipeline_messages.ts";
import type { Alert } from "../../router/alerts.ts";
import type { HealthReport } from "../../router/router_messages.ts";
import { buildInfo } from "../build_info.ts";
import { unixNs, warn } from "../console.ts";
import { type LiveRules, NO_RULES } from "../live_rules.ts";
import type { AgentOptions } from "./agent.ts";

/** A batch is split before it is longer than servers take. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Time between two looks at whether the link is congested. */
const LOOK_MS = 1000;
/** Key of the fault that filters do not fit into the kernel, which is told once. */
const FILTERS = "filters";
/** How long the end of a run waits for a server, where batches are in memory only. */
const LAST_CHANCE_MS = 5000;

function identityOf(options: AgentOptions, host: string): LinkOptions["identity"] {
  return {
    agentId: options.agentId ?? agentId(),
    host,
    version: buildInfo().version,
    bootId: bootId(),
  };
}

/** The stream of a run to a server: from what was seen to the spool, and from the spool to the server. */
export class AgentStream implements AsyncDisposable {
  /** The rules in force; null while no events are watched. */
  rules: LiveRules | null = null;
  readonly #spool: Spool;
  readonly #link: AgentLink;
  readonly #batcher: Batcher;
  readonly #sampling = new CongestionSampling();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #looking: ReturnType<typeof setInterval>;
  readonly #notice: (text: string) => void;
  readonly #faults: SaidOnce;
  readonly #onDisk: boolean;
  #filter: FleetFilter | null = null;
  #finished = false;

  /**
   * @throws {Error} when the folder of the spool cannot be used, or a file of certificates or the token cannot be used
   */
  constructor(options: AgentOptions, host: string, notice: (text: string) => void) {
    this.#notice = notice;
    this.#faults = new SaidOnce(notice);
    this.#onDisk = options.spool !== null;
    this.#spool = new Spool({
      memoryBytesMax: options.memoryBytesMax,
      ...options.spool !== null && { directory: options.spool },
      onNotice: notice,
    });
    try {
      this.#link = new AgentLink(this.#spool, {
        ...options.link,
        identity: identityOf(options, host),
        onFilter: (filter) => this.#setFilter(filter),
        onNotice: notice,
      });
    } catch (error) {
      this.#spool[Symbol.dispose]();
      throw error;
    }
    this.#batcher = new Batcher(this.#spool, {
      flushMs: options.flushMs,
      bytesMax: BATCH_BYTES_MAX,
      clock: () => {
        const now = unixNs();
        return { unixNs: now, bootUnixNs: now - monotonicNs() };
      },
      onBatch: () => this.#link.wake(),
    });
    this.#running = this.#link.run(this.#stop.signal);
    this.#looking = setInterval(() => {
      if (this.#sampling.observe(this.#link.stats.congested)) this.#refreshRules();
    }, LOOK_MS);
  }

  get counts(): AgentCounts {
    const { debugOneIn = 1, minimumSeverity = "debug" } = this.#wanted(this.rules?.active.own ?? NO_RULES);
    return {
      spool: this.#spool.stats,
      link: this.#link.stats,
      debugSampling: minimumSeverity === "debug" ? debugOneIn : null,
    };
  }

  /** Adds to an operator's rules the filter that the server wants. */
  adjust(own: RuleSet): RuleSet {
    const both = this.#wanted(own);
    const count = both.filters?.length ?? 0;
    if (count <= RULES_MAX) {
      this.#faults.over(FILTERS);
      return both;
    }
    // The server's severity and sampling still hold.
    this.#faults.say(
      FILTERS,
      `types and nets that the server wants are not in force: with this host's own filters they make ${count} filters, ` +
        `and the kernel takes ${RULES_MAX}`,
    );
    return { ...both, filters: own.filters ?? [] };
  }

  #wanted(own: RuleSet): RuleSet {
    return withFleetFilter(own, this.#filter, this.#sampling.oneIn);
  }

  events(events: PipelineEvent[]): void {
    this.#batcher.add(events.map(enrichedEvent));
    this.#addRecords(events);
  }

  /** Sends the events' records as the kernel wrote them; nothing where events come without records. */
  #addRecords(events: readonly PipelineEvent[]): void {
    for (const wanted of SEVERITIES) {
      const records = events.flatMap(({ severity, record }) => severity === wanted && record ? [record] : []);
      for (let first = 0; first < records.length; first += BATCH_RECORDS_MAX) {
        const batch = records.slice(first, first + BATCH_RECORDS_MAX);
        const bytes = new Uint8Array(batch.reduce((sum, { length }) => sum + length, 0));
        let at = 0;
        for (const record of batch) {
          bytes.set(record, at);
          at += record.length;
        }
        this.#batcher.addRaw(wanted, bytes, batch.length);
      }
    }
  }

  window(window: Parameters<Batcher["addWindow"]>[0]): void {
    this.#batcher.addWindow(window);
  }

  /** Sends a report of the rings. */
  ringHealth(health: HealthReport): void {
    this.#batcher.addHealth(health);
  }

  /** Sends an alert about the rings; an error is printed as well. */
  ringAlert({ alert, level, message, fields }: Alert, { unixNs }: HealthReport): void {
    this.#batcher.addAlert({ alert, level, message, fields: { ...fields }, unixNs });
    if (level === "error") warn(message);
  }

  /** Sends any other alert, and prints it as a notice. */
  alert(alert: string, message: string): void {
    this.#batcher.addAlert({ alert, level: "warning", message, fields: {}, unixNs: unixNs() });
    this.#notice(message);
  }

  /** Sends what is left, as long as a server takes it, and closes the link. */
  async finish(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    clearInterval(this.#looking);
    this.#batcher[Symbol.dispose]();
    this.#link.wake();
    await this.#lastChance();
    this.#stop.abort();
    await this.#running;
  }

  /** Waits a little for a server that is about to come back: what is in memory only is lost when the program ends. */
  async #lastChance(): Promise<void> {
    const untilMs = performance.now() + LAST_CHANCE_MS;
    while (!this.#onDisk && this.#spool.stats.batches.spooled > 0 && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #setFilter(filter: FleetFilter): void {
    const isNew = filter.generation !== this.#filter?.generation;
    this.#filter = filter;
    if (isNew) this.#refreshRules();
  }

  #refreshRules(): void {
    this.rules?.refresh().catch((error) => this.#notice(`the server's filter is not in force: ${error.message}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish();
    this.#spool[Symbol.dispose]();
  }
}
