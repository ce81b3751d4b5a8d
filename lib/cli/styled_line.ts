/** Lines of a live screen: they are cut as plain text, and coloured last. */
import { escapeControls, truncate } from "../runtime/text.ts";

export type Style = "bold" | "dim" | "green" | "yellow" | "alarm";

const SGR: Record<Style, string> = { bold: "1", dim: "2", green: "32", yellow: "33", alarm: "1;37;41" };

/** A line of the screen. Style covers all of it, so that cutting it to the width never cuts an escape sequence. */
export interface Line {
  text: string;
  style?: Style;
}

/** Alerts that a screen shows at most. */
export const ALERTS_MAX = 3;

/** The line of an alert, whose text may be of any origin. */
export function alertLine(alert: string): Line {
  return { text: `! ${escapeControls(alert)}`, style: "yellow" };
}

/** Cuts lines to `columns`, and adds ANSI colours where `colour`. */
export function paint(lines: readonly Line[], columns: number, colour: boolean): string[] {
  return lines.map(({ text, style }) => {
    const cut = truncate(text, columns);
    return colour && style !== undefined ? `\x1b[${SGR[style]}m${cut}\x1b[0m` : cut;
  });
}
