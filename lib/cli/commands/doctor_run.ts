/** `ebpfmon doctor`: what works here, command by command, what does not, and what to do. */
import { type CommandVerdict, examine, type Fact, type Feature, judge } from "../../doctor/mod.ts";
import { jsonLine, rfc3339 } from "../../export/json_lines.ts";
import { openLibbpf } from "../../ffi/libbpf.ts";
import { assetsDir } from "../../runtime/worker_url.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { fit } from "../../runtime/text.ts";
import type { DoctorOptions } from "./doctor.ts";

export interface Examination {
  features: readonly Feature[];
  facts: readonly Fact[];
}

const GREEN = 32, RED = 31, YELLOW = 33;

const VERDICTS: Record<CommandVerdict["verdict"], { word: string; colour: number }> = {
  works: { word: "works  ", colour: GREEN },
  partly: { word: "partly ", colour: YELLOW },
  broken: { word: "BROKEN ", colour: RED },
};

/**
 * Makes the text of an examination: a line a command, a line a feature with what to do below it, the machine's
 * settings, and one line that sums it up.
 */
export function renderExamination({ features, facts }: Examination, colour: boolean): string {
  const paint = (code: number, text: string) => colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  const width = Math.max(...[...features, ...facts].map(({ name }) => name.length));
  const verdicts = judge(features);
  const commandLines = verdicts.map(({ command, verdict, missing }) => {
    const { word, colour } = VERDICTS[verdict];
    return `${paint(colour, word)}  ${fit(command, width)}${
      missing.length === 0 ? "" : `  missing: ${missing.join(", ")}`
    }`
      .trimEnd();
  });
  const indent = " ".repeat(width + 11);
  const featureLines = features.flatMap(({ name, works, way, why, remedy }) => {
    const word = works ? paint(GREEN, "works  ") : way === "" ? paint(RED, "MISSING") : paint(YELLOW, "partly ");
    const line = `${word}  ${fit(name, width)}  ${works ? way : why}`;
    const below = [...works && why !== "" ? [`limit: ${why}`] : [], ...remedy === "" ? [] : [`to do: ${remedy}`]];
    return [line, ...below.map((text) => indent + text)];
  });
  const factLines = facts.flatMap(({ name, value, advice }) => [
    `         ${fit(name, width)}  ${value}`,
    ...advice === "" ? [] : [`${indent}to do: ${advice}`],
  ]);
  return [
    "Commands",
    ...commandLines,
    "",
    "Features",
    ...featureLines,
    "",
    "This machine",
    ...factLines,
    "",
    features.some(({ name, works }) => name === "privileges" && !works)
      ? "Nothing can be tried without these privileges: run doctor with sudo."
      : summaryOf(verdicts),
    "",
  ].join("\n");
}

function summaryOf(verdicts: CommandVerdict[]): string {
  const named = (verdict: CommandVerdict["verdict"]) =>
    verdicts.filter((it) => it.verdict === verdict).map(({ command }) => command).join(", ");
  const [partly, broken] = [named("partly"), named("broken")];
  if (partly === "" && broken === "") return "All of ebpfmon works here.";
  if (named("works") === "" && partly === "") return "ebpfmon does not work here.";
  const parts = [partly && `works partly: ${partly}`, broken && `does not work: ${broken}`].filter((it) => it !== "");
  return `Not all of ebpfmon works here; ${parts.join("; ")}.`;
}

/**
 * The exit code for an examination: 0 only when everything works; 3 without privileges, 4 when no command works, 5 when
 * some do or do partly.
 */
export function exitCodeOf(features: readonly Feature[]): ExitCode {
  const verdicts = judge(features);
  if (features.some(({ name, works }) => name === "privileges" && !works)) return EXIT.privilege;
  if (verdicts.every(({ verdict }) => verdict === "works")) return EXIT.done;
  return verdicts.every(({ verdict }) => verdict === "broken") ? EXIT.unsupported : EXIT.partly;
}

function printJson({ features, facts }: Examination, host: string): void {
  const stamp = { time: rfc3339(unixNs()), host };
  for (const verdict of judge(features)) print(jsonLine({ type: "command", ...stamp, ...verdict }));
  for (const { name, neededBy, log: _log, ...feature } of features) {
    print(jsonLine({ type: "feature", ...stamp, feature: name, needed_by: neededBy, ...feature }));
  }
  for (const { name, ...fact } of facts) print(jsonLine({ type: "fact", ...stamp, fact: name, ...fact }));
}

/** Tries every feature, and prints what works. */
export async function run(options: DoctorOptions, { host }: RunContext): Promise<ExitCode> {
  using libbpf = openLibbpf({ embeddedDir: `${assetsDir()}/lib` });
  const examination = await examine({ libbpf, assetsDir: assetsDir() });
  if (options.json) printJson(examination, host);
  else print(renderExamination(examination, Deno.stdout.isTerminal() && !Deno.noColor));
  if (options.debug) {
    for (const { name, log } of examination.features) if (log) warn(`${name}: ${log}`);
  }
  return exitCodeOf(examination.features);
}
