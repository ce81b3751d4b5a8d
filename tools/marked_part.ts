/** Generated parts of Markdown files, which stand between two comments. */

export interface Marker {
  /** What the part holds, as both comments name it. */
  name: string;
  /** The program that makes the part: `tools/NAME.ts`. */
  maker: string;
}

/** The text with the part between the two comments of `marker` replaced by `made`. @throws where the comments are missing */
export function withPart(text: string, { name, maker }: Marker, made: string): string {
  const [start, end] = [`<!-- ${name}: made by ${maker} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find the place of "${name}": its markers are missing`);
  return `${text.slice(0, from + start.length)}\n\n${made}\n\n${text.slice(to)}`;
}

/** A table of Markdown. A vertical bar within a cell is escaped. */
export function markdownTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
