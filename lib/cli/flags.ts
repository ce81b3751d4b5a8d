/** Kinds of flags and arguments: what a value must look like, and what it becomes. */
import type { ListenAddress } from "../net/listen_address.ts";

/** A flag or a positional argument that takes a value. */
export interface ValueSpec<T> {
  /** Placeholder in help: `SECONDS`. */
  value: string;
  help: string;
  /** What the value must be, to follow "takes": `100 to 60000 milliseconds`. */
  takes: string;
  /** All values there are, where they can be listed. */
  choices?: readonly string[];
  /** What completes the value, where neither choices nor nothing does. */
  completes?: "file" | "interface";
  /** As help shows it. */
  fallbackText?: string;
  fallback: T;
  /** The value, or null where the text is none. */
  parse(text: string): T | null;
}

/** A flag that is on or off. */
export interface SwitchSpec {
  value: null;
  help: string;
  fallback: boolean;
}

// deno-lint-ignore no-explicit-any
export type FlagSpec = ValueSpec<any> | SwitchSpec;

/** What parsing a table of flags gives. */
export type FlagValues<Flags extends Record<string, FlagSpec>> = {
  [Name in keyof Flags]: Flags[Name]["fallback"];
};

/** Longest time that a timer of the runtime can wait, in whole seconds. */
const SECONDS_MAX = 2_147_483;

export function switchFlag(help: string): SwitchSpec {
  return { value: null, help, fallback: false };
}

export function choiceFlag<T extends string>(choices: readonly T[], fallback: T, help: string): ValueSpec<T> {
  return {
    value: choices.join("|"),
    help,
    takes: `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`,
    choices,
    fallbackText: fallback,
    fallback,
    parse: (text) => choices.find((choice) => choice === text) ?? null,
  };
}

/** A whole number from `min` to `max`; `unit` is a noun in the plural. */
export function integerFlag(
  value: string,
  { min, max, unit, fallback }: { min: number; max: number; unit: string; fallback: number },
  help: string,
): ValueSpec<number> {
  return {
    value,
    help: `${help} (${min} to ${max})`,
    takes: `${min} to ${max} ${unit}`,
    fallbackText: String(fallback),
    fallback,
    parse: (text) => {
      const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return number >= min && number <= max ? number : null;
    },
  };
}

/** A time in seconds, fractions included. */
export function secondsFlag<T extends number | null>(value: string, fallback: T, help: string): ValueSpec<number | T> {
  return {
    value,
    help,
    takes: `more than 0 and at most ${SECONDS_MAX} seconds`,
    fallback,
    parse: (text) => {
      const seconds = /^(\d{1,7}(\.\d{0,9})?|\.\d{1,9})$/.test(text) ? Number(text) : 0;
      return seconds > 0 && seconds <= SECONDS_MAX ? seconds : null;
    },
  };
}

/** Text that `parse` accepts, or any but the empty one. */
export function textFlag(
  spec: Pick<ValueSpec<string>, "value" | "help" | "takes" | "completes">,
): ValueSpec<string> {
  return { ...spec, fallback: "", parse: (text) => text === "" ? null : text };
}

/** Name of a file, or null where the flag is not given. */
export function fileFlag(help: string): ValueSpec<string | null> {
  return {
    value: "FILE",
    help,
    takes: "the name of a file",
    completes: "file",
    fallback: null,
    parse: (text) => text === "" ? null : text,
  };
}

/** `ADDRESS:PORT`, `[IPV6]:PORT`, or `off`. */
export function listenFlag(fallback: ListenAddress, help: string): ValueSpec<ListenAddress | "off"> {
  return {
    value: "ADDR:PORT|off",
    help,
    takes: "ADDRESS:PORT, [IPV6]:PORT or off",
    fallbackText: `${fallback.hostname}:${fallback.port}`,
    fallback,
    parse: (text) => {
      if (text === "off") return "off";
      const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
      const hostname = bracketed ?? plain;
      return hostname === undefined || Number(port) > 65535 ? null : { hostname, port: Number(port) };
    },
  };
}
