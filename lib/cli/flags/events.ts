/** Flags about events, and about the rules that judge them. */
import type { RuleSet } from "../../events/rule_set.ts";
import { parseRuleSet } from "../../events/rules.ts";
import { parseEventFilter } from "../../filter/language.ts";
import { fileFlag, switchFlag, textFlag } from "./kinds.ts";
import { checked, parseFile, type UsageContext } from "./usage.ts";

/** Rules of a run: those it starts with, and where new ones may come from. */
export interface RuleSource {
  own: RuleSet;
  /** null: they are not from a file. */
  file: string | null;
  /** Read the file again when it changes. */
  watch: boolean;
}

/** How rules for events change while a run goes on; `ruleSource` takes `watch`. */
export const LIVE_RULES_FLAGS = {
  watch: switchFlag("watch-config", "read the file of rules again when it changes; SIGHUP always does"),
  apiTokenFile: fileFlag("api-token-file", "secret for changing rules over HTTP; without it only this machine may"),
};

/** Rules for the events that are watched together with flows. */
export const RULES_FLAGS = {
  rulesFile: textFlag({
    name: "rules",
    value: "FILE",
    help: "rules for events, as for ebpfmon events --config",
    takes: "the name of a file",
    completes: "file",
  }),
  ...LIVE_RULES_FLAGS,
};

export const EVENT_FILTER_FLAG = {
  filter: textFlag({
    name: "filter",
    value: "EXPR",
    help: "which events: 'severity critical or (comm nginx and not path /proc)'",
    takes: "an expression",
  }),
};

/** @throws {UsageError} */
export function checkEventFilter(filter: string, context: UsageContext): void {
  if (filter !== "") checked(context, "filter", () => parseEventFilter(filter));
}

/** JSON where the name says so, else YAML. */
export function formatOf(file: string): "json" | "yaml" {
  return /\.json$/i.test(file) ? "json" : "yaml";
}

/**
 * Reads the rules that a run starts with.
 *
 * @param file empty for none
 * @param flag long name of the flag that names the file
 * @throws {UsageError}
 */
export function ruleSource(file: string, watch: boolean, flag: string, context: UsageContext): RuleSource {
  if (file !== "") {
    const own = parseFile(file, flag, context, (text) => parseRuleSet(text, formatOf(file), file));
    return { own, file, watch };
  }
  if (watch) throw context.wrong(`--watch-config takes --${flag} FILE`);
  return { own: { rules: [] }, file: null, watch };
}
