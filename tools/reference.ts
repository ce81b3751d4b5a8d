/**
 * Writes the generated parts of docs/reference.md: the commands, from what `./ebpfmon COMMAND --help` prints, and the
 * metrics, from pages on which every metric stands.
 */
import { renderMetrics } from "../lib/export/metrics.ts";
import { renderServerMetrics } from "../lib/fleet/server/metrics.ts";
import { fullMetricsSnapshot, fullServerSnapshot } from "../tests/support/full_snapshots.ts";
import { markdownTable, withPart } from "./marked_part.ts";

export const REFERENCE_FILE = "docs/reference.md";

/** The paragraphs of a help text that has a title and a colon above them, by title; untitled ones by "". */
export function helpSections(help: string): Map<string, string[]> {
  const sections = new Map<string, string[]>([["", []]]);
  for (const paragraph of help.trimEnd().split("\n\n")) {
    const [first, ...rest] = paragraph.split("\n");
    const isTitled = /^[A-Z][a-z ]*:$/.test(first);
    if (isTitled) sections.set(first.slice(0, -1), rest);
    else sections.get("")!.push(paragraph);
  }
  return sections;
}

/** The two columns of a line of help: what is typed, and what it means. */
function columnsOf(line: string): [string, string] {
  const found = /^ {2}(\S.*?) {2,}(.*)$/.exec(line);
  if (found === null) throw new Error(`Cannot read a line of help: it has no two columns: "${line}"`);
  return [found[1], found[2]];
}

/** `meaning [default]` in two cells. */
function splitDefault(meaning: string): [string, string] {
  const found = /^(.*) \[([^\]]*)\]$/.exec(meaning);
  return found === null ? [meaning, ""] : [found[1], found[2]];
}

/** The names of all commands, from the help of the program. */
export function commandNames(help: string): string[] {
  return (helpSections(help).get("Commands") ?? []).map((line) => columnsOf(line)[0].split(" ")[0]);
}

/** The section of one command, from its help. */
export function commandPart(name: string, help: string): string {
  const sections = helpSections(help);
  const [summary, usage, ...description] = sections.get("")!;
  const argumentRows = (sections.get("Arguments") ?? []).map(columnsOf).map(([left, right]) => [`\`${left}\``, right]);
  const flagRows = (sections.get("Flags") ?? []).map((line) => {
    const [flag, meaning] = columnsOf(line);
    const [text, fallback] = splitDefault(meaning);
    return [`\`${flag}\``, fallback === "" ? "" : `\`${fallback}\``, text];
  });
  return [
    `### ${name}`,
    `    ${usage.replace(/^Usage: /, "")}`,
    `${summary.replace(/^[^:]*: (.)/, (_, letter: string) => letter.toUpperCase())}.`,
    ...description.map((paragraph) => paragraph.replaceAll(/--[a-z-]+/g, "`$&`")),
    ...argumentRows.length === 0 ? [] : [markdownTable(["argument", "meaning"], argumentRows)],
    markdownTable(["flag", "default", "meaning"], flagRows),
  ].join("\n\n");
}

/** A table of the metrics on a page in the Prometheus text format: name, type, labels and help. */
export function metricTable(page: string): string {
  const rows = [...page.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)\n(.*)$/gm)].map(
    ([, name, help, type, sample]) => {
      const labels = [...(/\{(.*)\}/.exec(sample)?.[1] ?? "").matchAll(/([a-z_]+)="/g)].map(([, label]) => label);
      const shown = labels.filter((label) => label !== "le").map((label) => `\`${label}\``).join(", ");
      return [`\`${name}\``, type, shown, help];
    },
  );
  return markdownTable(["metric", "type", "labels", "meaning"], rows);
}

/** @param helpOf the help of a command, or of the program where none is named */
async function commandParts(helpOf: (command?: string) => Promise<string>): Promise<string> {
  const parts: string[] = [];
  for (const name of commandNames(await helpOf())) parts.push(commandPart(name, await helpOf(name)));
  return parts.join("\n\n");
}

/** The text of docs/reference.md with its generated parts made anew. */
export async function withReference(text: string, helpOf: (command?: string) => Promise<string>): Promise<string> {
  const maker = "tools/reference.ts";
  const parts = {
    "commands": await commandParts(helpOf),
    "metrics": metricTable(renderMetrics(fullMetricsSnapshot())),
    "metrics of serve": metricTable(renderServerMetrics(fullServerSnapshot())),
  };
  return Object.entries(parts).reduce((whole, [name, made]) => withPart(whole, { name, maker }, made), text);
}

/** What `./ebpfmon COMMAND --help` prints. */
export async function helpOfProgram(command?: string): Promise<string> {
  const args = command === undefined ? ["--help"] : [command, "--help"];
  const { code, stdout } = await new Deno.Command("./ebpfmon", { args, env: { NO_COLOR: "1" } }).output();
  if (code !== 0) throw new Error(`Cannot read the help of ${args.join(" ")}: ./ebpfmon exited with ${code}`);
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  const made = await withReference(text, helpOfProgram);
  if (made !== text) await Deno.writeTextFile(REFERENCE_FILE, made);
}
