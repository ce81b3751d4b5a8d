/**
 * Writes the tables of kernels into README.md and ARCHITECTURE.md, from what the tests on those kernels expect
 * (tests/kernels/expected.json).
 */
import { EXPECTED, type Expected } from "../tests/kernels/expected.ts";
import { markdownTable, withPart } from "./marked_part.ts";

/** Kernels against commands: what works where. */
export function commandTable({ distributions, commands }: Expected): string {
  const rows = Object.entries(distributions).map(([kernel, ships]) => {
    return [kernel, ships, ...Object.values(commands).map((verdicts) => verdicts[kernel] ?? "not tried")];
  });
  return markdownTable(["Linux", "for instance in", ...Object.keys(commands).map((command) => `\`${command}\``)], rows);
}

/** Features against kernels: how each is done where. */
export function featureTable({ distributions, features }: Expected): string {
  const kernels = Object.keys(distributions);
  // The same everywhere: what the process holds, and the libbpf that it found.
  const rows = Object.entries(features).filter(([name]) => name !== "privileges" && name !== "libbpf");
  return markdownTable(
    ["feature", ...kernels],
    rows.map(([name, ways]) => [name, ...kernels.map((kernel) => ways[kernel] || "missing")]),
  );
}

const maker = "tools/kernel_table.ts";
export const TABLES = [
  { file: "README.md", marker: { name: "kernels and commands", maker }, make: commandTable },
  { file: "ARCHITECTURE.md", marker: { name: "kernels and features", maker }, make: featureTable },
];

if (import.meta.main) {
  for (const { file, marker, make } of TABLES) {
    const text = await Deno.readTextFile(file);
    const made = withPart(text, marker, make(EXPECTED));
    if (made === text) continue;
    await Deno.writeTextFile(file, made);
  }
}
