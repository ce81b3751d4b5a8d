/** What a command is: its flags and arguments, the options that they become, and the module that runs it. */
import type { ExitCode } from "./exit.ts";
import type { Flags, FlagValues, ValueSpec } from "./flags/kinds.ts";
import type { UsageContext } from "./flags/usage.ts";

/** An argument without a name. Only the last one of a command may be repeated. */
export interface PositionalSpec<T> {
  spec: ValueSpec<T>;
  required: boolean;
  repeated: boolean;
}

/** An argument that has to be given. */
export function required<T>(spec: ValueSpec<T>): PositionalSpec<T> & { repeated: false } {
  return { spec, required: true, repeated: false };
}

/** An argument that is its default where it is not given. */
export function optional<T>(spec: ValueSpec<T>): PositionalSpec<T> & { repeated: false } {
  return { spec, required: false, repeated: false };
}

/** Any number of arguments, in a list. */
export function repeated<T>(spec: ValueSpec<T>): PositionalSpec<T> & { repeated: true } {
  return { spec, required: false, repeated: true };
}

/** Arguments by the names of the options that they set, in the order of the command line. */
// deno-lint-ignore no-explicit-any
export type Positionals = Record<string, PositionalSpec<any>>;

type PositionalValues<Table extends Positionals> = {
  [Option in keyof Table]: Table[Option] extends { repeated: true } ? Table[Option]["spec"]["fallback"][]
    : Table[Option]["spec"]["fallback"];
};

/** What the words of a command line become before the command looks at them together. */
type Values<Table extends Flags, Arguments extends Positionals> = FlagValues<Table> & PositionalValues<Arguments>;

/** A command without what it does. */
export interface CommandSpec<
  // deno-lint-ignore no-explicit-any
  Table extends Flags = any,
  // deno-lint-ignore no-explicit-any
  Arguments extends Positionals = any,
  // deno-lint-ignore no-explicit-any
  Options = any,
> {
  summary: string;
  /** What help says beyond the summary. */
  description: string;
  positionals: Arguments;
  flags: Table;
  examples: [line: string, meaning: string][];
  /**
   * Checks what no flag can check alone, and makes the options that the command runs with.
   *
   * @throws {UsageError}
   */
  options(values: Values<Table, Arguments>, context: UsageContext): Options;
}

/** Declares a command. Without `options` the command runs with the values themselves. */
export function command<
  const Table extends Flags,
  const Arguments extends Positionals,
  Options = Values<Table, Arguments>,
>(
  spec:
    & Omit<CommandSpec<Table, Arguments>, "options">
    & Partial<Pick<CommandSpec<Table, Arguments, Options>, "options">>,
): CommandSpec<Table, Arguments, Options> {
  return { options: (values) => values as unknown as Options, ...spec };
}

/** What a command runs with. */
export type OptionsOf<Spec> = Spec extends { options(...args: never[]): infer Options } ? Options : never;

/** What a run sees of the program. */
export interface RunContext {
  host: string;
  commands: CommandTable;
  /** From now on SIGINT, SIGTERM and SIGHUP abort the controller, which is returned; without this call they kill. */
  stopOnSignals(): AbortController;
}

/** A command in the list of all of them. */
export interface Command<Spec extends CommandSpec = CommandSpec> {
  spec: Spec;
  /** Loads the command's code: a command starts without what only others need. */
  load(): Promise<{ run(options: OptionsOf<Spec>, context: RunContext): ExitCode | Promise<ExitCode> }>;
}

/** Puts a command together with the module that runs it. */
export function loads<Spec extends CommandSpec>(spec: Spec, load: Command<Spec>["load"]): Command<Spec> {
  return { spec, load };
}

/** Commands by name, in the order of the help. */
// deno-lint-ignore no-explicit-any
export type CommandTable = Record<string, Command<any>>;
