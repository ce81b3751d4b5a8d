/** The command line: from words to a command and its options. */
import { nearest } from "../runtime/suggest.ts";
import { parseArgs } from "../runtime/std.ts";
import type { CommandSpec, CommandTable, OptionsOf } from "./command.ts";
import type { Flag, Flags, ValueSpec } from "./flags/kinds.ts";
import { parseFile, quote, type UsageContext, UsageError, usageError } from "./flags/usage.ts";
import { commandHelp, programHelp } from "./help.ts";

/** What a command line asks for. */
export type ParsedCommand<Table extends CommandTable> =
  | { command: "help"; text: string }
  | { command: "version" }
  | { [Name in keyof Table & string]: { command: Name; options: OptionsOf<Table[Name]["spec"]> } }[
    keyof Table & string
  ];

/**
 * Parses the words after the program's name.
 *
 * @param readFile Text of a file that a flag names; what it throws is reported as wrong usage.
 * @throws {UsageError}
 */
export function parseWords<Table extends CommandTable>(
  commands: Table,
  words: readonly string[],
  readFile: (path: string) => string,
): ParsedCommand<Table> {
  const [first, ...rest] = words;
  if (first === undefined) throw new UsageError("ebpfmon: a command is missing; see ebpfmon --help");
  if (first === "--version" || first === "-V") return { command: "version" };
  if (first === "--help" || first === "-h" || (first === "help" && rest.length === 0)) {
    return { command: "help", text: programHelp(commands) };
  }
  const command = commandName(first === "help" ? rest[0] : first, commands);
  const { spec } = commands[command];
  if (first === "help") return { command: "help", text: commandHelp(command, spec) };

  const context: UsageContext = { wrong: (mistake) => usageError(command, mistake), readFile };
  const { flags, positionals, help } = splitWords(spec.flags, rest, context);
  if (help) return { command: "help", text: commandHelp(command, spec) };
  const values = { ...flagValues(spec.flags, flags, context), ...positionalValues(spec, positionals, context) };
  return { command, options: spec.options(values, context) } as ParsedCommand<Table>;
}

function commandName<Table extends CommandTable>(word: string, commands: Table): keyof Table & string {
  if (Object.hasOwn(commands, word)) return word;
  if (word.startsWith("-")) {
    throw new UsageError(`ebpfmon: ${quote(word)} comes before any command; see ebpfmon --help`);
  }
  const names = Object.keys(commands);
  throw new UsageError(`ebpfmon: unknown command ${quote(word)}${didYouMean(word, names)}; see ebpfmon --help`);
}

interface SplitWords {
  /** Texts of the flags given, by long name; a boolean for a switch. */
  flags: Map<string, string | boolean>;
  positionals: string[];
  help: boolean;
}

/** `--from -1h` as `--from=-1h`: parseArgs takes whatever begins with a hyphen for a flag. */
function joinNegative(words: readonly string[], valueNames: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of words) {
    const name = joined.includes("--") ? undefined : /^--([^=]+)$/.exec(joined.at(-1) ?? "")?.[1];
    if (name !== undefined && valueNames.includes(name) && /^-\d/.test(word)) joined[joined.length - 1] += `=${word}`;
    else joined.push(word);
  }
  return joined;
}

/** parseArgs takes whatever follows the "=" of a switch for true. */
function checkSwitches(words: readonly string[], switches: readonly string[], { wrong }: UsageContext): void {
  const separator = words.indexOf("--");
  for (const word of separator === -1 ? words : words.slice(0, separator)) {
    const [, name, value] = /^--([^=]+)=(.*)$/s.exec(word) ?? [];
    if (switches.includes(name) && value !== "true" && value !== "false") {
      throw wrong(`--${name} takes no value, got ${quote(value)}`);
    }
  }
}

function splitWords(table: Flags, typed: readonly string[], context: UsageContext): SplitWords {
  const flags = Object.values(table);
  const names = flags.map(({ name }) => name);
  const switches = flags.filter(({ value }) => value === null).map(({ name }) => name);
  const valueNames = names.filter((name) => !switches.includes(name));
  const words = joinNegative(typed, valueNames);
  checkSwitches(words, [...switches, "help"], context);

  const alias: Record<string, string> = { h: "help" };
  for (const flag of flags) if (flag.value !== null && flag.short !== undefined) alias[flag.short] = flag.name;
  const parsed = parseArgs(words, {
    boolean: [...switches, "help"],
    string: [...valueNames, "_"],
    alias,
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const typed = arg.replace(/=.*$/s, "");
      throw context.wrong(`unknown flag ${quote(typed)}${didYouMean(typed.replace(/^-+/, ""), names, "--")}`);
    },
  });
  // parseArgs gives every switch a value; one that no word names was not given.
  const given = names.filter((name) => name in parsed && (!switches.includes(name) || isNamed(name, words)));
  return {
    flags: new Map(given.map((name) => [name, parsed[name] as string | boolean])),
    positionals: parsed._,
    help: parsed.help === true,
  };
}

function isNamed(name: string, words: readonly string[]): boolean {
  return words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
}

/** @returns the value of each flag by the option that it sets; the file of flags is none of them */
function flagValues(
  table: Flags,
  given: Map<string, string | boolean>,
  context: UsageContext,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  let fromFile = new Map<string, unknown>();
  for (const flag of Object.values(table)) {
    const file = given.get(flag.name);
    if (!("holdsFlags" in flag) || file === undefined) continue;
    fromFile = configValues(table, flagValue(flag, `--${flag.name}`, file, context) as string, context);
  }
  for (const [option, flag] of Object.entries(table)) {
    if ("holdsFlags" in flag) continue;
    const text = given.get(flag.name);
    if (text !== undefined) values[option] = flagValue(flag, `--${flag.name}`, text, context);
    else values[option] = fromFile.has(flag.name) ? fromFile.get(flag.name) : flag.fallback;
  }
  return values;
}

/** Flags from a file by their long names, checked as if they had been typed. */
function configValues(table: Flags, file: string, context: UsageContext): Map<string, unknown> {
  const { wrong } = context;
  // A file that is not JSON gets the same message as a file that cannot be read.
  const readJson = { ...context, readFile: (path: string) => JSON.parse(context.readFile(path)) };
  const config: unknown = parseFile(file, "config", readJson, (config) => config);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw wrong(`${file}: expected a JSON object`);
  }
  const byName = new Map(
    Object.values(table).filter((flag) => !("holdsFlags" in flag)).map((flag) => [flag.name, flag]),
  );
  return new Map(
    Object.entries(config).map(([key, value]) => {
      const flag = byName.get(key);
      if (flag === undefined) throw wrong(`${file}: unknown key ${quote(key)}${didYouMean(key, [...byName.keys()])}`);
      const text = typeof value === "number" && flag.value !== null ? String(value) : value;
      return [key, flagValue(flag, `${file}: ${quote(key)}`, text, context)];
    }),
  );
}

/** @param text unchecked: from a config file it may be anything */
function flagValue(flag: Flag, name: string, text: unknown, { wrong }: UsageContext): unknown {
  if (flag.value === null) {
    if (typeof text !== "boolean") throw wrong(`${name} takes true or false, got ${quote(text)}`);
    return text ? !flag.fallback : flag.fallback;
  }
  const value = typeof text === "string" ? flag.parse(text) : undefined;
  if (value === undefined) throw wrong(mismatch(name, flag, text));
  return value;
}

/** @returns the value of each positional argument by the option that it sets */
function positionalValues(
  { positionals }: CommandSpec,
  words: readonly string[],
  { wrong }: UsageContext,
): Record<string, unknown> {
  const rest = [...words];
  const values: Record<string, unknown> = {};
  for (
    const [option, { spec, required, repeated }] of Object.entries<CommandSpec["positionals"][string]>(positionals)
  ) {
    if (required && rest.length === 0) throw wrong(`${spec.value} is missing`);
    const taken = rest.splice(0, repeated ? rest.length : 1);
    const parsed = taken.map((word, i) => {
      const value = spec.parse(word);
      if (value === undefined) throw wrong(mismatch(spec.value, spec, word));
      if (taken.indexOf(word) !== i) throw wrong(`${spec.value} ${quote(word)} is given twice`);
      return value;
    });
    values[option] = repeated ? parsed : parsed.length === 0 ? spec.fallback : parsed[0];
  }
  if (rest.length > 0) throw wrong(`unexpected argument ${quote(rest[0])}`);
  return values;
}

function mismatch(name: string, { takes }: ValueSpec<unknown>, text: unknown): string {
  return `${name} takes ${takes}, got ${text === "" ? "nothing" : quote(text)}`;
}

function didYouMean(word: string, names: readonly string[], prefix = ""): string {
  const name = nearest(word, names);
  return name === null ? "" : `, did you mean ${prefix}${name}?`;
}
