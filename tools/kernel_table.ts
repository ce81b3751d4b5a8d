/**
 * Writes the tables of kernels into README.md and ARCHITECTURE.md, from what the tests on those kernels expect
 * (tests/kernels/expected.json). With --check it changes nothing and fails where a table is not up to date.
 */
import { COMMANDS, type Feature, judge } from "../lib/doctor/feature.ts";

/** What `ebpfmon doctor` must say on one kernel. */
export interface ExpectedKernel {
  /** Who ships it, for people who know their distribution and not its kernel. */
  distributions: string;
  /** Feature to how it is done there; null where it does not work. */
  features: Record<string, string | null>;
}

export interface Expected {
  /** Feature to the commands that offer it, and those that need it. */
  features: Record<string, Pick<Feature, "commands" | "neededBy">>;
  kernels: Record<string, ExpectedKernel>;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Kernels against commands: what works where. */
export function commandTable({ features, kernels }: Expected): string {
  const rows = Object.entries(kernels).map(([kernel, { distributions, features: ways }]) => {
    const found = Object.entries(features).map(([name, common]) => (
      { ...common, name, works: ways[name] !== null, way: ways[name] ?? "", why: "", remedy: "" }
    ));
    const verdicts = judge(found).map(({ verdict, missing }) =>
      verdict === "works" ? "works" : `${verdict}: without ${missing.join(", ")}`
    );
    return [kernel, distributions, ...verdicts];
  });
  return table(["Linux", "for instance", ...COMMANDS.map((command) => `\`${command}\``)], rows);
}

/** Features against kernels: how each is done where. */
export function featureTable({ features, kernels }: Expected): string {
  const rows = Object.keys(features).map((name) => [
    name,
    ...Object.values(kernels).map(({ features: ways }) => ways[name] ?? "missing"),
  ]);
  return table(["feature", ...Object.keys(kernels)], rows);
}

const TABLES = [
  { file: "README.md", marker: "kernels and commands", make: commandTable },
  { file: "ARCHITECTURE.md", marker: "kernels and features", make: featureTable },
];

/** The text with the table between its two markers replaced. @throws where the markers are missing */
export function withTable(text: string, marker: string, made: string): string {
  const [start, end] = [`<!-- ${marker}: made by tools/kernel_table.ts -->`, `<!-- end of ${marker} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find the place of the table "${marker}": its markers are missing`);
  return `${text.slice(0, from + start.length)}\n\n${made}\n\n${text.slice(to)}`;
}

export const EXPECTED_FILE = "tests/kernels/expected.json";

if (import.meta.main) {
  const expected: Expected = JSON.parse(await Deno.readTextFile(EXPECTED_FILE));
  for (const { file, marker, make } of TABLES) {
    const text = await Deno.readTextFile(file);
    const made = withTable(text, marker, make(expected));
    if (made === text) continue;
    if (Deno.args.includes("--check")) throw new Error(`${file} is out of date: run "make kernel-table"`);
    await Deno.writeTextFile(file, made);
  }
}
