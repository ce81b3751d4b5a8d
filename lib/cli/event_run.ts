/** What all commands that watch events share: events from the kernel, through the pipeline, to the last record. */
import { makeSharedChannel } from "../pipeline/channel/open_channel.ts";
import { Pipeline, type PipelineOptions } from "../pipeline/pipeline.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";
import type { HealthReport, RouterOptions, RouterReport } from "../router/router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { Router } from "../router/router.ts";
import { allRules } from "../events/rules.ts";
import { assetsDir } from "../runtime/worker_url.ts";
import type { RuleSource } from "./flags/events.ts";
import { onHangup } from "./hangup.ts";
import { LiveRules, NO_RULES } from "./live_rules.ts";
import { StopOn } from "./stop_on.ts";

/** How long the end of a run waits for what is inside the pipeline. */
export const STOP_DEADLINE_MS = 10_000;

/**
 * How long the end of a run waits for what is in the rings: longer, because the pipeline has to take those events
 * first.
 */
const ROUTER_STOP_DEADLINE_MS = 15_000;

/** Number of dead letters that are kept in memory; a file keeps all of them. */
const DEAD_LETTERS_MAX = 1_000;

/** All stages in one worker, which drops nothing: events wait in the kernel's rings. */
export const PIPELINE_DEFAULTS: PipelineOptions = {
  placement: { kind: "one" },
  policy: "block",
  makeChannel: makeSharedChannel,
  deadLettersMax: DEAD_LETTERS_MAX,
  dropRules: [],
  filter: "",
  deliver: false,
  deliverRecords: false,
  delayMs: 0,
  procfs: true,
  publishCounts: false,
  assetsDir: assetsDir(),
};

/** What a command does with the run's reports; called in order, on the main thread. */
export interface EventRunHandlers {
  /** The pipeline runs; programs are not attached yet. */
  started?(pipeline: Pipeline, rules: LiveRules): void;
  ready(report: Extract<RouterReport, { kind: "ready" }>): void;
  /** A batch of events, where `deliver` asks for them. */
  events?(events: PipelineEvent[]): void | Promise<void>;
  health(health: HealthReport): void;
  deadLetter?(letter: DeadLetter): void;
  notice(text: string): void;
}

/** The text of /etc/passwd; empty where it cannot be read: then no rules are made for the homes of users. */
function passwdText(): string {
  try {
    return Deno.readTextFileSync("/etc/passwd");
  } catch {
    return "";
  }
}

/** The user's rules, then as many of the built-in ones as there is room for. */
function withBuiltIn(own: RuleSet, notice: (text: string) => void): RuleSet {
  const { rules, leftOut } = allRules(own.rules, passwdText());
  if (leftOut > 0) notice(`${leftOut} built-in rules found no room beside the ${own.rules.length} of your own`);
  return { ...own, rules };
}

/** A text that differs when the contents of the file may have changed; null where there is no file. */
function stampOf(path: string): string | null {
  try {
    const { mtime, size, ino } = Deno.statSync(path);
    return `${mtime?.getTime()} ${size} ${ino}`;
  } catch {
    return null;
  }
}

export const BUILT_IN_RULES_ONLY: RuleSource = { own: NO_RULES, file: null, watch: false };

/**
 * Follows events until `signal` or the duration. The last report is a `health` that holds the final counts, and the
 * pipeline is empty when this returns.
 *
 * @param durationMs null: until the signal
 * @throws {WorkerError} when a worker fails for good
 */
export async function runEvents(
  options: {
    router: Omit<RouterOptions, "output" | "rules" | "filters" | "watch" | "minimumSeverity" | "debugOneIn">;
    rules: RuleSource;
    pipeline: PipelineOptions;
    /**
     * Adds to the operator's rules what a server wants; called each time that rules are put in force, as by
     * `LiveRules.refresh`.
     */
    adjust?: (own: RuleSet) => RuleSet;
  },
  handlers: EventRunHandlers,
  { signal, durationMs }: { signal: AbortSignal; durationMs: number | null },
): Promise<void> {
  await using pipeline = new Pipeline(options.pipeline, {
    events: (events) => handlers.events?.(events),
    deadLetter: (letter) => handlers.deadLetter?.(letter),
    notice: (text) => handlers.notice(text),
  });
  const { own, file, watch } = options.rules;
  const { adjust = (own) => own } = options;
  const notice = (text: string) => handlers.notice(text);
  using router = new Router({ ...options.router, ...withBuiltIn(adjust(own), notice), output: pipeline.input });
  const apply = (own: RuleSet) => router.setRules(withBuiltIn(adjust(own), notice));
  using rules = new LiveRules({ apply, readFile: Deno.readTextFileSync, stamp: stampOf, notice }, own, file);
  if (watch) rules.watch();
  using _hangup = file === null ? null : onHangup(() => void rules.reload());
  handlers.started?.(pipeline, rules);
  using limit = new StopOn(signal, () => router.stop(ROUTER_STOP_DEADLINE_MS));
  const followed = (async () => {
    for await (const report of router.reports()) {
      switch (report.kind) {
        case "ready":
          limit.after(durationMs);
          handlers.ready(report);
          break;
        case "health":
          handlers.health(report.health);
          break;
        default:
          report satisfies never;
      }
    }
  })();
  await Promise.race([followed, pipeline.failure]);
  if (router.left !== null) {
    const seconds = ROUTER_STOP_DEADLINE_MS / 1000;
    notice(
      `the router did not stop within ${seconds} s: by its last report ${router.left} events were still in its rings`,
    );
  }
  const left = await pipeline.stop(STOP_DEADLINE_MS);
  if (left > 0) handlers.notice(`${left} events were still in the pipeline at the end`);
}
