/** Types of what lib/runtime/std.ts takes from the standard library; the npm package that carries it ships none. */

export interface ParseOptions {
  /** Flags that take no value. */
  boolean?: readonly string[];
  /** Flags that take a value, kept as text; `_` keeps positional arguments as text too. */
  string?: readonly string[];
  /** Short names. */
  alias?: Readonly<Record<string, string>>;
  /** Called for whatever is neither a known flag nor its value; `false` leaves the argument out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export interface ParsedArgs {
  _: string[];
  [flag: string]: unknown;
}

export function parseArgs(args: readonly string[], options?: ParseOptions): ParsedArgs;
