/** The command line: from words to what is to be done. */

import type { ListenAddress } from "../http/serve.ts";
import { parseFilter } from "../aggregate/filter.ts";
import type { AggregatorOptions } from "../aggregate/protocol.ts";
import type { RouterChoices } from "../router/defaults.ts";
import type { SeverityRule } from "../router/protocol.ts";
import { parseRules } from "../router/rules.ts";
import { parseArgs } from "../std.ts";
import { COMMAND_NAMES, type CommandName, COMMANDS, type CommandSpec, CONFIG_FLAG, type Shell } from "./commands.ts";
import type { FlagValues, ValueSpec } from "./flags.ts";
import { commandHelp, programHelp } from "./help.ts";
import { nearest } from "./suggest.ts";

/** Wrong usage. The message is one line that names the mistake and the help to read. */
export class UsageError extends Error {
  override name = "UsageError";
}

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  debug: boolean;
}

/** The part of the aggregator's options that a user sets. */
export interface AttachOptions extends Omit<AggregatorOptions, "assetsDir" | "topMax" | "filter" | "libbpfPath"> {
  /** Empty for none. */
  libbpfUrl: string;
}

export interface MonitorOptions extends OutputOptions, AttachOptions {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  topMax: number;
  /** Validated; empty for none. */
  filter: string;
  /** Without the event router. */
  flowsOnly: boolean;
}

export interface MeasureOptions extends OutputOptions, AttachOptions {
  seconds: number;
}

export interface EventsOptions extends OutputOptions, RouterChoices {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  /** Those of `--config`, without the built-in ones. */
  rules: SeverityRule[];
  /** Share of debug events that may be dropped without an alert. */
  debugDropRateMax: number;
  failOnCriticalDrop: boolean;
  /** URL to post alerts to. */
  webhook: string | null;
}

/** What a command line asks for. */
export type ParsedCommand =
  | { command: "help"; text: string }
  | { command: "version" }
  | { command: "monitor"; options: MonitorOptions }
  | { command: "measure"; options: MeasureOptions }
  | { command: "events"; options: EventsOptions }
  | { command: "doctor"; options: OutputOptions }
  | { command: "completions"; shell: Shell };

/**
 * Parses the words after the program's name.
 *
 * @param readFile Text of the file that `--config` names; what it throws is reported as wrong usage.
 * @throws {UsageError}
 */
export function parseCommandLine(words: readonly string[], readFile: (path: string) => string): ParsedCommand {
  const [first, ...rest] = words;
  if (first === undefined) throw new UsageError("ebpfmon: a command is missing; see ebpfmon --help");
  if (first === "--version" || first === "-V") return { command: "version" };
  if (first === "--help" || first === "-h") return { command: "help", text: programHelp() };
  if (first === "help") {
    return { command: "help", text: rest.length === 0 ? programHelp() : commandHelp(commandName(rest[0])) };
  }

  const name = commandName(first);
  const { flags, positionals, help } = splitWords(name, rest);
  if (help) return { command: "help", text: commandHelp(name) };
  switch (name) {
    case "monitor": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { interfaces } = positionalValues(name, COMMANDS[name], positionals);
      if (values.filter !== "") checkFilter(name, values.filter);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          ...attachOptions(values, interfaces as string[]),
          listen: values.listen === "off" ? null : values.listen,
          durationSeconds: values.duration,
          topMax: values.top,
          filter: values.filter,
          flowsOnly: values["flows-only"],
        },
      };
    }
    case "measure": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { seconds, iface } = positionalValues(name, COMMANDS[name], positionals);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          ...attachOptions(values, iface as string[]),
          seconds: seconds[0] as number,
        },
      };
    }
    case "events": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: eventsOptions(values, readFile) };
    }
    case "doctor":
      positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: outputOptions(flagValues(name, COMMANDS[name].flags, flags, readFile)) };
    case "completions": {
      const { shell } = positionalValues(name, COMMANDS[name], positionals);
      return { command: name, shell: shell[0] as Shell };
    }
    default:
      return name satisfies never;
  }
}

type MeasureFlags = FlagValues<typeof COMMANDS.measure.flags>;

function outputOptions({ json, quiet, debug }: OutputOptions): OutputOptions {
  return { json, quiet, debug };
}

function attachOptions(values: MeasureFlags, interfaces: string[]): AttachOptions {
  return {
    interfaces,
    direction: values.direction,
    ingressMode: values.mode,
    egressHook: values["egress-hook"],
    force: values.force,
    windowMs: values.window,
    flowsMax: values["max-flows"],
    values: values.values,
    libbpfUrl: values["libbpf-url"],
  };
}

function eventsOptions(
  values: FlagValues<typeof COMMANDS.events.flags>,
  readFile: (path: string) => string,
): EventsOptions {
  const ringBytes = {
    critical: values["ring-critical"],
    normal: values["ring-normal"],
    debug: values["ring-debug"],
  };
  for (const [ring, bytes] of Object.entries(ringBytes)) {
    if (bytes > values["ring-max"]) {
      throw usage("events", `--ring-${ring} ${bytes} is more than --ring-max ${values["ring-max"]}`);
    }
  }
  return {
    ...outputOptions(values),
    listen: values.listen === "off" ? null : values.listen,
    durationSeconds: values.duration,
    ringBytes,
    ringBytesMax: values["ring-max"],
    rateLimit: values["rate-limit"],
    repeatSuppression: !values["no-repeat-suppression"],
    isolate: values.isolate,
    only: { rings: values.only, events: values.event, pid: values.pid, uid: values.uid, comm: values.comm },
    rules: values.config === "" ? [] : rulesOf(values.config, readFile),
    debugDropRateMax: values["debug-drop-alert"] / 100,
    failOnCriticalDrop: values["fail-on-critical-drop"],
    webhook: values.webhook,
  };
}

function rulesOf(file: string, readFile: (path: string) => string): SeverityRule[] {
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    throw unreadable("events", file, error);
  }
  try {
    return parseRules(text, /\.json$/i.test(file) ? "json" : "yaml", file);
  } catch (error) {
    if (error instanceof SyntaxError) throw usage("events", error.message);
    throw error;
  }
}

function commandName(word: string): CommandName {
  const name = COMMAND_NAMES.find((candidate) => candidate === word);
  if (name !== undefined) return name;
  if (word.startsWith("-")) {
    throw new UsageError(`ebpfmon: ${quote(word)} comes before any command; see ebpfmon --help`);
  }
  throw new UsageError(`ebpfmon: unknown command ${quote(word)}${didYouMean(word, COMMAND_NAMES)}; see ebpfmon --help`);
}

interface SplitWords {
  /** Texts of the flags given, by name; a boolean for a switch. */
  flags: Map<string, string | boolean>;
  positionals: string[];
  help: boolean;
}

function splitWords(command: CommandName, words: readonly string[]): SplitWords {
  const specs: CommandSpec["flags"] = COMMANDS[command].flags;
  const names = Object.keys(specs);
  const switches = names.filter((name) => specs[name].value === null);
  const separator = words.indexOf("--");
  for (const word of separator === -1 ? words : words.slice(0, separator)) {
    // parseArgs takes whatever follows the "=" of a switch for true.
    const [, name, value] = /^--([^=]+)=(.*)$/s.exec(word) ?? [];
    if ([...switches, "help"].includes(name) && value !== "true" && value !== "false") {
      throw usage(command, `--${name} takes no value, got ${quote(value)}`);
    }
  }

  const parsed = parseArgs(words, {
    boolean: [...switches, "help"],
    string: [...names.filter((name) => specs[name].value !== null), "_"],
    alias: { h: "help" },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const typed = arg.replace(/=.*$/s, "");
      throw usage(command, `unknown flag ${quote(typed)}${didYouMean(typed.replace(/^-+/, ""), names, "--")}`);
    },
  });
  // parseArgs gives every switch a value; one that no word names was not given.
  const given = names.filter((name) => name in parsed && (specs[name].value !== null || isNamed(name, words)));
  return {
    flags: new Map(given.map((name) => [name, parsed[name] as string | boolean])),
    positionals: parsed._,
    help: parsed.help === true,
  };
}

function isNamed(name: string, words: readonly string[]): boolean {
  return words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
}

function flagValues<Flags extends CommandSpec["flags"]>(
  command: CommandName,
  specs: Flags,
  given: Map<string, string | boolean>,
  readFile: (path: string) => string,
): FlagValues<Flags> {
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) values[name] = spec.fallback;
  const file = given.get("config");
  if (file === "") throw usage(command, "--config takes the name of a file, got nothing");
  if (typeof file === "string" && specs.config === CONFIG_FLAG.config) {
    Object.assign(values, configValues(command, specs, file, readFile));
  }
  for (const [name, text] of given) values[name] = flagValue(command, `--${name}`, specs[name], text);
  return values as FlagValues<Flags>;
}

/** Flags from a file, checked as if they had been typed. */
function configValues(
  command: CommandName,
  specs: CommandSpec["flags"],
  file: string,
  readFile: (path: string) => string,
): Record<string, unknown> {
  let config: unknown;
  try {
    config = JSON.parse(readFile(file));
  } catch (error) {
    throw unreadable(command, file, error);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw usage(command, `${file}: expected a JSON object`);
  }
  const names = Object.keys(specs).filter((name) => name !== "config");
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      if (!names.includes(key)) throw usage(command, `${file}: unknown key ${quote(key)}${didYouMean(key, names)}`);
      const text = typeof value === "number" && specs[key].value !== null ? String(value) : value;
      return [key, flagValue(command, `${file}: ${quote(key)}`, specs[key], text)];
    }),
  );
}

/** `text` is unchecked: from a config file it may be anything. */
function flagValue(command: CommandName, name: string, spec: CommandSpec["flags"][string], text: unknown): unknown {
  if (spec.value === null) {
    if (typeof text !== "boolean") throw usage(command, `${name} takes true or false, got ${quote(text)}`);
    return text;
  }
  const value = typeof text === "string" ? spec.parse(text) : null;
  if (value === null) throw usage(command, mismatch(name, spec, text));
  return value;
}

/** Values of each positional argument, by name; an empty list for one not given. */
function positionalValues<Spec extends CommandSpec>(
  command: CommandName,
  { positionals }: Spec,
  words: readonly string[],
): Record<keyof Spec["positionals"], unknown[]> {
  const rest = [...words];
  const values = Object.entries(positionals).map(([key, { spec, required, repeated }]) => {
    if (required && rest.length === 0) throw usage(command, `${spec.value} is missing`);
    const taken = rest.splice(0, repeated ? rest.length : 1);
    return [
      key,
      taken.map((word, i) => {
        const value = spec.parse(word);
        if (value === null) throw usage(command, mismatch(spec.value, spec, word));
        if (taken.indexOf(word) !== i) throw usage(command, `${spec.value} ${quote(word)} is given twice`);
        return value;
      }),
    ];
  });
  if (rest.length > 0) throw usage(command, `unexpected argument ${quote(rest[0])}`);
  return Object.fromEntries(values);
}

function checkFilter(command: CommandName, filter: string): void {
  try {
    parseFilter(filter);
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(command, `--filter: ${error.message}`);
    throw error;
  }
}

function mismatch(name: string, { takes }: ValueSpec<unknown>, text: unknown): string {
  return `${name} takes ${takes}, got ${text === "" ? "nothing" : quote(text)}`;
}

function unreadable(command: CommandName, file: string, error: unknown): UsageError {
  return usage(command, `cannot read --config ${quote(file)}: ${oneLine((error as Error).message)}`);
}

function usage(command: CommandName, mistake: string): UsageError {
  return new UsageError(`ebpfmon ${command}: ${mistake}; see ebpfmon ${command} --help`);
}

function didYouMean(word: string, names: readonly string[], prefix = ""): string {
  const name = nearest(word, names);
  return name === null ? "" : `, did you mean ${prefix}${name}?`;
}

/** Quoted as JSON is, which keeps a message on one line whatever was typed. */
function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : oneLine(JSON.stringify(value));
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
