/** `ebpfmon pipeline`: the stages alone, over the kernel's events, simulated ones, or dead letters. */
import { deadLetterObject, type LetterContext } from "../../export/dead_letter_json.ts";
import { addEventMetrics, healthObject } from "../../export/event_json.ts";
import { jsonLine } from "../../export/json_lines.ts";
import { pipelineObject } from "../../export/pipeline_json.ts";
import { addProcessMetrics } from "../../export/process_metrics.ts";
import { PrometheusText } from "../../metrics/prometheus.ts";
import { EVENT } from "../../wire/layouts.gen.ts";
import { monotonicNs } from "../../ffi/libc.ts";
import type { Machine } from "../../wire/syscalls.ts";
import { createEventsApp } from "../../http/events_app.ts";
import { isLoopback } from "../../http/guard.ts";
import { formatListen } from "../../net/listen_address.ts";
import { serve } from "../../http/serve.ts";
import { ENVELOPE_MAX_BYTES, MAIN_WORKER } from "../../pipeline/channel/channel.ts";
import type { DeadLetter } from "../../pipeline/dead_letters.ts";
import { envelopeLength } from "../../events/event_batch.ts";
import { Feed, laneOf } from "../../pipeline/channel/feed.ts";
import { DEFAULT_DROP_RULES } from "../../pipeline/filter_stage.ts";
import { openSenders, queueChannelMaker } from "../../pipeline/channel/open_channel.ts";
import { Pipeline, type PipelineOptions } from "../../pipeline/pipeline.ts";
import { HEALTH_MS, ROUTER_DEFAULTS } from "../../router/defaults.ts";
import { EventDecoder } from "../../events/event_decoder.ts";
import { EventTotals } from "../../pipeline/event_totals.ts";
import { EVENT_TYPES, SHARED_RINGS } from "../../events/event.ts";
import type { SimulateReport, SimulateRequest, SimulateResult } from "../../simulate/simulate_messages.ts";
import { WorkerHandle } from "../../runtime/worker_handle.ts";
import { assetsDir } from "../../runtime/worker_url.ts";
import { buildInfo } from "../build_info.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { BUILT_IN_RULES_ONLY, PIPELINE_DEFAULTS, runEvents, STOP_DEADLINE_MS } from "../event_run.ts";
import { DeadLetterFile, readDeadLetters } from "../dead_letter_file.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { renderDeadLetter, renderPipelineLine, renderPipelineSummary } from "../pipeline_view.ts";
import { processUsage, startedUnixSeconds } from "../process_usage.ts";
import { durationMs, StopOn } from "../stop_on.ts";
import type { PipelineCommandOptions } from "./pipeline.ts";

const LINE_MS = 1_000;
const ROOM_MS = 20;

/** What a run prints, and where its dead letters go. */
class PipelineRun implements Disposable {
  readonly totals = new EventTotals();
  /** True once events can come in. */
  running = false;
  readonly #options: PipelineCommandOptions;
  readonly #host: string;
  readonly #owned = new DisposableStack();
  readonly #file: DeadLetterFile | null = null;
  readonly #startedMs = performance.now();

  /** @throws {Error} when the file of dead letters cannot be written to */
  constructor(options: PipelineCommandOptions, host: string) {
    this.#options = options;
    this.#host = host;
    if (options.deadLetters !== null && options.action === "run") {
      this.#file = this.#owned.use(new DeadLetterFile(options.deadLetters, letterContext(host), warn));
    }
    const timer = setInterval(() => this.#line(), LINE_MS);
    this.#owned.defer(() => clearInterval(timer));
  }

  notice(text: string): void {
    if (!this.#options.quiet) warn(text);
  }

  follow(pipeline: Pipeline): void {
    this.totals.follow(pipeline);
    this.running = true;
  }

  #line(): void {
    const stats = this.totals.pipeline;
    if (stats === null) return;
    if (this.#options.json) print(jsonLine(pipelineObject(this.#stamp(), stats)));
    else if (!this.#options.quiet) print(renderPipelineLine(stats) + "\n");
  }

  deadLetter(letter: DeadLetter): void {
    this.#file?.add(letter);
  }

  summary(made: SimulateResult | null): void {
    const stats = this.totals.pipeline!;
    const seconds = (performance.now() - this.#startedMs) / 1000;
    if (!this.#options.json) {
      print(renderPipelineSummary(stats, { seconds: made?.seconds ?? seconds, made }).join("\n") + "\n");
      return;
    }
    const summary = { ...pipelineObject(this.#stamp(), stats), type: "summary", seconds };
    print(jsonLine(made === null ? summary : { ...summary, simulated: made }));
  }

  metrics(): string {
    const text = new PrometheusText();
    addProcessMetrics(text, { version: buildInfo().version }, {
      ...processUsage(),
      startTimeSeconds: startedUnixSeconds(),
    });
    addEventMetrics(text, this.totals);
    return text.toString();
  }

  #stamp() {
    return { unixNs: unixNs(), host: this.#host };
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

function letterContext(host: string): LetterContext {
  const decoder = new EventDecoder(Deno.build.arch as Machine);
  return { host, decoder, bootUnixNs: unixNs() - monotonicNs() };
}

function showLetters(options: PipelineCommandOptions, host: string): ExitCode {
  const letters = readDeadLetters(options.deadLetters!, warn);
  const context = letterContext(host);
  for (const letter of letters) {
    print(
      options.json ? jsonLine(deadLetterObject(letter, context)) : renderDeadLetter(letter, context.decoder) + "\n",
    );
  }
  if (!options.json) print(`${letters.length} dead letters\n`);
  return EXIT.done;
}

/** True for a record that a channel takes: what a stage failed on may be shorter than any record. */
function isSendable(record: Uint8Array): boolean {
  return record.length >= EVENT.size && envelopeLength(record.length, 0) <= ENVELOPE_MAX_BYTES;
}

/**
 * Sends the records of dead letters into the pipeline again, until all are sent or `signal`; waits while the channel is
 * full.
 */
async function sendLetters(pipeline: Pipeline, letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
  using stack = new DisposableStack();
  const feed = new Feed(openSenders(stack, pipeline.input, MAIN_WORKER));
  for (const { record } of letters) {
    const data = new DataView(record.buffer, record.byteOffset, record.byteLength);
    while (!signal.aborted && !feed.take("normal", data, 0, record.length)) {
      feed.flush(laneOf("normal"));
      await feed.waitWritable("normal", ROOM_MS);
    }
    if (signal.aborted) break;
  }
  feed.flush(laneOf("normal"));
}

/** Runs simulated events, or those of dead letters, through a pipeline. */
async function runMade(
  options: PipelineCommandOptions,
  pipelineOptions: PipelineOptions,
  { run, stop }: { run: PipelineRun; stop: AbortSignal },
): Promise<SimulateResult | null> {
  await using pipeline = new Pipeline(pipelineOptions, {
    events: () => {},
    deadLetter: (letter) => run.deadLetter(letter),
    notice: (text) => run.notice(text),
  });
  run.follow(pipeline);
  let made: SimulateResult | null = null;
  if (options.simulate === null) {
    const all = readDeadLetters(options.deadLetters!, warn);
    const letters = all.filter(({ record }) => isSendable(record));
    if (letters.length < all.length) {
      run.notice(`${all.length - letters.length} letters hold no record and are left out`);
    }
    const ended = new AbortController();
    using limit = new StopOn(stop, () => ended.abort());
    limit.after(durationMs(options.durationSeconds));
    try {
      await Promise.race([sendLetters(pipeline, letters, ended.signal), pipeline.failure]);
    } finally {
      ended.abort();
    }
  } else {
    using simulator = new WorkerHandle<SimulateRequest, SimulateReport>("simulate", {
      kind: "start",
      options: {
        events: options.simulate,
        rate: options.rate,
        kernel: options.kernel,
        output: pipeline.input,
        assetsDir: assetsDir(),
      },
    });
    using limit = new StopOn(stop, () => simulator.stop());
    while (made === null) {
      const report = await Promise.race([simulator.next(), pipeline.failure]);
      if (report.kind === "stopped") made = report.result;
      else limit.after(durationMs(options.durationSeconds));
    }
  }
  const left = await pipeline.stop(STOP_DEADLINE_MS);
  if (left > 0) run.notice(`${left} events were still in the pipeline at the end`);
  return made;
}

async function runKernel(
  options: PipelineCommandOptions,
  pipelineOptions: PipelineOptions,
  { run, stop }: { run: PipelineRun; stop: AbortSignal },
): Promise<void> {
  await runEvents(
    {
      router: {
        ...ROUTER_DEFAULTS,
        sources: [...EVENT_TYPES],
        only: { ...ROUTER_DEFAULTS.only, rings: [...SHARED_RINGS] },
        healthMs: HEALTH_MS,
        assetsDir: assetsDir(),
      },
      rules: BUILT_IN_RULES_ONLY,
      pipeline: pipelineOptions,
    },
    {
      started: (pipeline) => run.follow(pipeline),
      ready: ({ notices }) => notices.forEach((notice) => run.notice(notice)),
      health(health) {
        run.totals.addHealth(health);
        if (options.json) print(jsonLine(healthObject(Deno.hostname(), health)));
      },
      deadLetter: (letter) => run.deadLetter(letter),
      notice: (text) => run.notice(text),
    },
    { signal: stop, durationMs: durationMs(options.durationSeconds) },
  );
}

/** Runs until all simulated events are through, or until told to stop. */
export async function run(options: PipelineCommandOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  if (options.action === "dead-letters") return showLetters(options, host);
  using run = new PipelineRun(options, host);
  const source = { attached: () => run.running, metrics: () => run.metrics() };
  const app = options.listen && createEventsApp(source, { loopback: isLoopback(options.listen.hostname) });
  await using server = options.listen && serve(options.listen, app!.fetch);
  if (server) run.notice(`metrics at http://${formatListen(server.addr)}/metrics`);
  using channels = new DisposableStack();
  const isMade = options.simulate !== null || options.action === "replay";
  const pipelineOptions: PipelineOptions = {
    ...PIPELINE_DEFAULTS,
    placement: options.placement,
    policy: options.policy,
    makeChannel: options.channel === "queue" ? queueChannelMaker(channels) : PIPELINE_DEFAULTS.makeChannel,
    dropRules: [...DEFAULT_DROP_RULES],
    filter: options.filter,
    delayMs: options.delayMs,
    publishCounts: options.kernel,
  };
  if (isMade && !options.kernel) run.notice("the kernel takes no part in this: events enter the first channel");
  let made: SimulateResult | null = null;
  if (isMade) made = await runMade(options, pipelineOptions, { run, stop: stop.signal });
  else await runKernel(options, pipelineOptions, { run, stop: stop.signal });
  run.summary(made);
  return EXIT.done;
}
