/** `ebpfmon agent`: what `monitor` counts and watches, streamed to a server. */
import { Batcher } from "../fleet/agent/batcher.ts";
import { CongestionSampling, withFleetFilter } from "../fleet/agent/fleet_rules.ts";
import { agentId, bootId } from "../fleet/agent/identity.ts";
import { AgentLink } from "../fleet/agent/link.ts";
import { enrichedEvent } from "../fleet/agent/pipeline_event.ts";
import { Spool } from "../fleet/agent/spool.ts";
import type { SpoolCounts } from "../fleet/agent/spool_stats.ts";
import type { Totals } from "../aggregate/flows/totals.ts";
import { addAgentMetrics, type AgentCounts } from "../fleet/agent/agent_metrics.ts";
import { eventsSummaryObject } from "../export/event_json.ts";
import { alertObject, jsonLine, readyObject, summaryObject } from "../export/json_lines.ts";
import { downloadLibbpf } from "../ffi/libbpf_download.ts";
import { monotonicNs } from "../ffi/libc.ts";
import { BATCH_RECORDS_MAX } from "../fleet/sequences.ts";
import type { FleetFilter } from "../fleet/fleet_filter.ts";
import { SaidOnce } from "../fleet/said_once.ts";
import { formatServerAddress } from "../fleet/server_address.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import { AlertEngine } from "../router/alerts.ts";
import { HEALTH_MS, ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EventTotals } from "../pipeline/event_totals.ts";
import { EVENT_TYPES, SEVERITIES } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { RULES_MAX } from "../events/rules.ts";
import { WorkerError } from "../runtime/worker_handle.ts";
import { assetsDir } from "../runtime/worker_url.ts";
import { readToken } from "./api_token.ts";
import { buildInfo } from "./build_info.ts";
import { print, unixNs, warn } from "./console.ts";
import { PIPELINE_DEFAULTS, runEvents } from "./event_run.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import type { AgentOptions } from "./fleet_args.ts";
import { runFlows } from "./flow_run.ts";
import { type LiveRules, NO_RULES } from "./live_rules.ts";
import { watchedInterfaces } from "./watched.ts";

/** A batch is split before it is longer than servers take. */
const BATCH_BYTES_MAX = 512 * 1024;
const OVERFLOW_ALERT_MS = 10_000;
const LOOK_MS = 1000;
/** A fault that is told once. */
const FILTERS = "filters";
const LAST_CHANCE_MS = 5000;

/** The sending side of a run: from what was seen to the spool, and from there to a server. */
class Sender implements AsyncDisposable {
  readonly totals = new EventTotals();
  /** Those in force; null before there are any. */
  rules: LiveRules | null = null;
  readonly #spool: Spool;
  readonly #link: AgentLink;
  readonly #batcher: Batcher;
  readonly #alerts = new AlertEngine();
  readonly #sampling = new CongestionSampling();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #looking: ReturnType<typeof setInterval>;
  readonly #notice: (text: string) => void;
  readonly #faults: SaidOnce;
  readonly #onDisk: boolean;
  #filter: FleetFilter | null = null;
  #finished = false;

  constructor(options: AgentOptions, host: string, notice: (text: string) => void) {
    this.#notice = notice;
    this.#faults = new SaidOnce(notice);
    this.#onDisk = options.spool !== null;
    const identity = {
      agentId: options.agentId ?? agentId(),
      host,
      version: buildInfo().version,
      bootId: bootId(),
    };
    this.#spool = new Spool({
      memoryBytesMax: options.memoryBytesMax,
      ...options.spool !== null && { directory: options.spool },
      onNotice: notice,
    });
    try {
      this.#link = new AgentLink(this.#spool, {
        ...options.link,
        identity,
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

  /** An operator's rules, and what the server wants besides. */
  adjust(own: RuleSet): RuleSet {
    const both = this.#wanted(own);
    const count = both.filters?.length ?? 0;
    if (count <= RULES_MAX) {
      this.#faults.over(FILTERS);
      return both;
    }
    // Severity and sampling hold all the same.
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

  /** The raw path: nothing where events come without their records. */
  #addRecords(events: readonly PipelineEvent[]): void {
    for (const lane of SEVERITIES) {
      const records = events.flatMap(({ severity, record }) => severity === lane && record ? [record] : []);
      for (let first = 0; first < records.length; first += BATCH_RECORDS_MAX) {
        const batch = records.slice(first, first + BATCH_RECORDS_MAX);
        const bytes = new Uint8Array(batch.reduce((sum, { length }) => sum + length, 0));
        let at = 0;
        for (const record of batch) {
          bytes.set(record, at);
          at += record.length;
        }
        this.#batcher.addRaw(lane, bytes, batch.length);
      }
    }
  }

  window(window: Parameters<Batcher["addWindow"]>[0]): void {
    this.#batcher.addWindow(window);
  }

  health(health: HealthReport): void {
    this.totals.addHealth(health);
    this.#batcher.addHealth(health);
    for (const { alert, level, message, fields } of this.#alerts.observe(health)) {
      this.#batcher.addAlert({ alert, level, message, fields: { ...fields }, unixNs: health.unixNs });
      if (level === "error") warn(message);
    }
  }

  alert(alert: string, message: string): void {
    this.#batcher.addAlert({ alert, level: "warning", message, fields: {}, unixNs: unixNs() });
    this.#notice(message);
  }

  /** Sends what is left, as long as a server takes it. */
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

  /** What is in memory alone is lost when we end: a server that is about to come back gets a little time. */
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

/** Events beside the flows: what they cannot do is told, and flows go on without them. */
async function watchEvents(sender: Sender, options: AgentOptions, signal: AbortSignal): Promise<void> {
  try {
    await runEvents(
      {
        router: { ...ROUTER_DEFAULTS, sources: [...EVENT_TYPES], healthMs: HEALTH_MS, assetsDir: assetsDir() },
        rules: options.rules,
        pipeline: { ...PIPELINE_DEFAULTS, deliver: true, deliverRecords: options.raw },
        adjust: (own) => sender.adjust(own),
      },
      {
        started(pipeline, rules) {
          sender.totals.follow(pipeline);
          sender.rules = rules;
        },
        events: (events) => sender.events(events),
        notice: (text) => sender.alert("notice", text),
        ready: ({ notices }) => notices.forEach((notice) => sender.alert("notice", notice)),
        health: (health) => sender.health(health),
      },
      { signal, durationMs: null },
    );
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    sender.alert("events_unavailable", `events are not watched: ${error.message}`);
  } finally {
    sender.rules = null;
  }
}

function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

function dropped(counts: SpoolCounts): number {
  return Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
}

function isBalanced(counts: SpoolCounts): boolean {
  return counts.appended + counts.recovered === counts.acknowledged + counts.spooled + dropped(counts);
}

function countsObject(counts: SpoolCounts): Record<string, unknown> {
  const { appended, recovered, acknowledged, spooled } = counts;
  return { appended, recovered, acknowledged, spooled, dropped: counts.dropped, balanced: isBalanced(counts) };
}

function linkObject({ spool, link }: AgentCounts): Record<string, unknown> {
  return {
    server: link.server,
    batches: countsObject(spool.batches),
    events: countsObject(spool.events),
    sent_batches: link.sentBatches,
    sent_events: link.sentEvents,
    reconnects: link.reconnects,
    failures: link.failures,
    last_sent: link.lastSentUnixMs === null ? null : new Date(link.lastSentUnixMs).toISOString(),
    spool_memory_bytes: spool.memoryBytes,
    spool_disk_bytes: spool.diskBytes,
  };
}

/** What became of each batch, in one line. */
function equation(name: string, counts: SpoolCounts): string {
  const total = counts.appended + counts.recovered;
  const parts = `${formatCount(counts.acknowledged)} acknowledged + ${formatCount(counts.spooled)} spooled + ` +
    `${formatCount(dropped(counts))} dropped`;
  return `${name} ${formatCount(total)} = ${parts}${isBalanced(counts) ? "" : " (this does not add up)"}`;
}

function printSummary(options: AgentOptions, sender: Sender, totals: Totals, host: string): void {
  const { counts } = sender;
  if (options.json) {
    const stamp = { unixNs: unixNs(), host };
    const events = eventsSummaryObject(stamp, sender.totals);
    print(jsonLine({ ...events, ...summaryObject(stamp, totals, options.filter !== ""), agent: linkObject(counts) }));
    return;
  }
  const { link } = counts;
  print(
    [
      equation("batches", counts.spool.batches),
      equation("events ", counts.spool.events),
      `sent    ${formatCount(link.sentBatches)} batches to ${link.server || "no server"}, ` +
      `${formatCount(link.reconnects)} reconnects, ${formatCount(link.failures)} failures`,
      "",
    ].join("\n"),
  );
}

export async function agent(options: AgentOptions, host: string, stop: AbortController): Promise<ExitCode> {
  const { interfaces: named, direction, ingressMode, egressHook, force, windowMs, flowsMax, values } = options;
  const interfaces = watchedInterfaces(named);
  const libbpfPath = await downloadLibbpf(options.libbpfUrl);
  const notice = (text: string) => {
    if (options.json) print(jsonLine(alertObject({ unixNs: unixNs(), host }, "notice", text)));
    else if (!options.quiet) warn(text);
  };
  await using sender = new Sender(options, host, notice);
  // Ends the flows: what failed beside them is thrown after their end.
  const failed = new AbortController();
  // Ends with the flows, whatever ended them.
  const eventsStop = new AbortController();
  let watching = Promise.resolve();
  let overflowAlertMs = -Infinity;
  try {
    const { totals, allGone } = await runFlows(
      {
        aggregator: {
          interfaces,
          direction,
          ingressMode,
          egressHook,
          force,
          windowMs,
          flowsMax,
          values,
          topMax: options.topMax,
          filter: options.filter,
          owners: true,
          retransmits: true,
          assetsDir: assetsDir(),
          libbpfPath,
        },
        listen: options.listen,
        durationMs: options.durationSeconds === null ? null : options.durationSeconds * 1000,
        host,
        build: { version: buildInfo().version },
        events: sender.totals,
        rules: { source: () => sender.rules, token: () => readToken(options.apiTokenFile) },
        addFamilies: (text) => addAgentMetrics(text, sender.counts),
      },
      {
        ready(report, listen) {
          const servers = options.link.servers.map(formatServerAddress).join(", ");
          if (options.json) {
            const ready = readyObject({ unixNs: unixNs(), host }, { interfaces: report.interfaces, listen });
            print(jsonLine({ ...ready, servers }));
          } else if (!options.quiet) {
            const names = report.interfaces.map(({ name }) => name).join(", ");
            warn(`watching ${names}, streaming to ${servers}${listen === null ? "" : `, http://${listen}/metrics`}`);
          }
          for (const text of report.notices) sender.alert("notice", text);
          watching = watchEvents(sender, options, eventsStop.signal);
          watching.catch(() => failed.abort());
        },
        window(window) {
          sender.window(window);
          const lost = window.interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
          if (lost === 0 || performance.now() - overflowAlertMs < OVERFLOW_ALERT_MS) return;
          overflowAlertMs = performance.now();
          sender.alert("flow_overflow", `flow map full: ${lost} packets in overflow; raise --max-flows`);
        },
        notice: (alert, message) => sender.alert(alert, message),
        interfaceGone(what, remaining) {
          sender.alert("interface_gone", `${what}; interfaces still watched: ${remaining}`);
        },
      },
      AbortSignal.any([stop.signal, failed.signal]),
    );
    eventsStop.abort();
    await watching;
    await sender.finish();
    printSummary(options, sender, totals, host);
    if (allGone !== null) throw new Error(`Cannot go on: no interface is left, ${allGone}`);
    return EXIT.done;
  } finally {
    eventsStop.abort();
    await watching;
  }
}
