/**
 * Writes the tables of kernels into README.md and ARCHITECTURE.md, from what the tests on those kernels expect
 * (tests/kernels/expected.json).
 */
import { EXPECTED, type Expected } from "../tests/kernels/expected.ts";

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Kernels against commands: what works where. */
export function commandTable({ distributions, commands }: Expected): string {
  const rows = Object.entries(distributions).map(([kernel, ships]) => {
    return [kernel, ships, ...Object.values(commands).map((verdicts) => verdicts[kernel] ?? "not tried")];
  });
  return table(["Linux", "for instance in", ...Object.keys(commands).map((command) => `\`${command}\``)], rows);
}

/** Features against kernels: how each is done where. */
export function featureTable({ distributions, features }: Expected): string {
  const kernels = Object.keys(distributions);
  // The same everywhere: what the process holds, and the libbpf that it found.
  const rows = Object.entries(features).filter(([name]) => name !== "privileges" && name !== "libbpf");
  return table(
    ["feature", ...kernels],
    rows.map(([name, ways]) => [name, ...kernels.map((kernel) => ways[kernel] || "missing")]),
  );
}

export const TABLES = [
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

if (import.meta.main) {
  for (const { file, marker, make } of TABLES) {
    const text = await Deno.readTextFile(file);
    const made = withTable(text, marker, make(EXPECTED));
    if (made === text) continue;
    await Deno.writeTextFile(file, made);
  }
}
