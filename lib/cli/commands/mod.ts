/** The list of commands: parsing, help, shell completions and the program itself are all made from it. */
import { type CommandTable, loads } from "../command.ts";
import { type ParsedCommand, parseWords } from "../command_line.ts";
import { agent } from "./agent.ts";
import { completions } from "./completions.ts";
import { detach } from "./detach.ts";
import { doctor } from "./doctor.ts";
import { events } from "./events.ts";
import { history } from "./history.ts";
import { measure } from "./measure.ts";
import { monitor } from "./monitor.ts";
import { pipeline } from "./pipeline.ts";
import { replay } from "./replay.ts";
import { serve } from "./serve.ts";
import { top } from "./top.ts";

/** All commands, in the order of the help. */
export const COMMANDS = {
  monitor: loads(monitor, () => import("./monitor_run.ts")),
  measure: loads(measure, () => import("./measure_run.ts")),
  events: loads(events, () => import("./events_run.ts")),
  replay: loads(replay, () => import("./replay_run.ts")),
  top: loads(top, () => import("./top_run.ts")),
  history: loads(history, () => import("./history_run.ts")),
  pipeline: loads(pipeline, () => import("./pipeline_run.ts")),
  agent: loads(agent, () => import("./agent_run.ts")),
  serve: loads(serve, () => import("./serve_run.ts")),
  doctor: loads(doctor, () => import("./doctor_run.ts")),
  detach: loads(detach, () => import("./detach_run.ts")),
  completions: loads(completions, () => import("./completions_run.ts")),
} satisfies CommandTable;

/**
 * Parses the words after the program's name.
 *
 * @param readFile Text of a file that a flag names; what it throws is reported as wrong usage.
 * @throws {UsageError}
 */
export function parseCommandLine(
  words: readonly string[],
  readFile: (path: string) => string,
): ParsedCommand<typeof COMMANDS> {
  return parseWords(COMMANDS, words, readFile);
}
