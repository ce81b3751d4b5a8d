/** `ebpfmon pipeline`: its flags, and the options that they become. */
import type { OverflowPolicy } from "../../pipeline/channel/channel.ts";
import type { Placement } from "../../pipeline/pipeline_messages.ts";
import { ENRICH_WORKERS_MAX } from "../../pipeline/pipeline_shape.ts";
import { command, optional, type OptionsOf } from "../command.ts";
import { checkEventFilter, EVENT_FILTER_FLAG } from "../flags/events.ts";
import {
  choice,
  choiceFlag,
  fileFlag,
  type FlagValues,
  integerFlag,
  mapped,
  offSwitchFlag,
  valueFlag,
} from "../flags/kinds.ts";
import { DURATION_FLAG, LISTEN_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";

const ACTIONS = ["run", "dead-letters", "replay"] as const;

/** Where the events come from. */
const SOURCE_FLAGS = {
  /** null: the kernel's events. */
  simulate: valueFlag<number | null>({
    name: "simulate",
    value: "N",
    help: "make up so many events in the place of the kernel's",
    takes: "a number of events from 1 on",
    fallback: null,
    parse: (text: string) => /^[1-9]\d{0,11}$/.test(text) ? Number(text) : undefined,
  }),
  rate: integerFlag(
    "rate",
    "R",
    { min: 0, max: 100_000_000, unit: "events a second", fallback: 0 },
    "simulated events a second; 0 for as fast as they go",
  ),
  delayMs: integerFlag(
    "delay",
    "MS",
    { min: 0, max: 60_000, unit: "milliseconds", fallback: 0 },
    "let the last stage wait over each batch",
  ),
  kernel: offSwitchFlag("no-kernel", "simulated events enter the first channel; takes no privilege"),
};

/** How the stages are spread over workers. */
const PLACEMENT_FLAGS = {
  placement: choiceFlag(
    "placement",
    ["one", "each", "fan-out"],
    "one",
    "one worker for all stages, one each, several that enrich",
  ),
  enrichWorkers: integerFlag(
    "enrich-workers",
    "N",
    { min: 1, max: ENRICH_WORKERS_MAX, unit: "workers", fallback: 2 },
    "workers that enrich, with --placement fan-out",
  ),
  distribution: choiceFlag(
    "distribution",
    ["hash", "round-robin"],
    "hash",
    "how events go to them; hash keeps each process in order",
  ),
};

function placementOf({ placement, enrichWorkers, distribution }: FlagValues<typeof PLACEMENT_FLAGS>): Placement {
  if (placement !== "fan-out") return { kind: placement };
  return { kind: "fan_out", enrichWorkers, distribution: distribution === "hash" ? "hash" : "round_robin" };
}

export const pipeline = command({
  summary: "the stages that all events pass: filter, enrich, aggregate",
  description:
    "Runs the kernel's events, or simulated ones, through the pipeline, prints a line a second, and in the end what\n" +
    "became of each event and how long it took. ACTION dead-letters shows what stages failed on, from the file that\n" +
    "--dead-letters names; replay runs it through the stages again.",
  positionals: {
    action: optional({ ...choice(ACTIONS, "run", "run, dead-letters or replay"), value: "ACTION" }),
  },
  flags: {
    ...OUTPUT_FLAGS,
    ...LISTEN_FLAG,
    ...DURATION_FLAG,
    ...SOURCE_FLAGS,
    ...PLACEMENT_FLAGS,
    channel: choiceFlag("channel", ["shared", "queue"], "shared", "channels in shared memory, or BPF queues"),
    policy: mapped(
      choiceFlag(
        "policy",
        ["block", "drop-newest", "drop-oldest"],
        "block",
        "what a full channel does with bulk events",
      ),
      (policy) => policy.replace("-", "_") as OverflowPolicy,
    ),
    ...EVENT_FILTER_FLAG,
    deadLetters: fileFlag(
      "dead-letters",
      "JSON lines of what a stage failed on: written, or read to show or replay",
    ),
  },
  examples: [
    ["sudo ebpfmon pipeline --duration 10", "the kernel's events for ten seconds"],
    ["sudo ebpfmon pipeline --simulate 1000000", "a million events through the kernel's rings and all stages"],
    ["ebpfmon pipeline --simulate 100000 --no-kernel --rate 20000", "without privilege, 20,000 a second"],
    ["ebpfmon pipeline dead-letters --dead-letters failed.jsonl", "show what stages failed on"],
  ],
  options({ placement, enrichWorkers, distribution, ...options }, context) {
    const { wrong } = context;
    checkEventFilter(options.filter, context);
    if (options.action !== "run" && options.deadLetters === null) {
      throw wrong(`${options.action} takes --dead-letters FILE`);
    }
    if (options.simulate !== null && options.action !== "run") throw wrong(`${options.action} takes no --simulate`);
    if (options.simulate === null && options.action === "run") {
      if (!options.kernel) throw wrong("--no-kernel takes --simulate N");
      if (options.rate > 0) throw wrong("--rate takes --simulate N");
    }
    return { ...options, placement: placementOf({ placement, enrichWorkers, distribution }) };
  },
});

export type PipelineCommandOptions = OptionsOf<typeof pipeline>;
