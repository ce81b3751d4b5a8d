/**
 * Kinds of flags and arguments: what a value must look like, and what it becomes. A table of flags is keyed by the names
 * that the options have in the program; the name that a user types is a part of the flag.
 */
import type { ListenAddress } from "../../net/listen_address.ts";

/** What takes a value: a flag without its name, or a positional argument. */
export interface ValueSpec<T> {
  /** Placeholder in help: `SECONDS`. */
  value: string;
  help: string;
  /** What the value must be, to follow "takes": `100 to 60000 milliseconds`. */
  takes: string;
  /** All values there are, where they can be listed. */
  choices?: readonly string[];
  /** What the shell completes the value with, where there are no choices. */
  completes?: "file" | "interface";
  /** The default as help shows it. */
  fallbackText?: string;
  /** The default. */
  fallback: T;
  /** @returns the value, or undefined for a text that is none */
  parse(text: string): T | undefined;
}

/** A flag that takes a value. */
export interface ValueFlag<T> extends ValueSpec<T> {
  /** The long name, without `--`. */
  name: string;
  /** The short name, without `-`. */
  short?: string;
}

/** A flag that turns its default to the contrary. */
export interface SwitchFlag {
  name: string;
  value: null;
  help: string;
  fallback: boolean;
}

/** The flag that names a file of other flags. */
export interface ConfigFlag extends ValueFlag<string> {
  holdsFlags: true;
}

// deno-lint-ignore no-explicit-any
export type Flag = ValueFlag<any> | SwitchFlag;

/** Flags by the names of the options that they set, in the order of the help. */
export type Flags = Record<string, Flag>;

/** The options that a table of flags sets. A file of flags is none: it is read while flags are parsed. */
export type FlagValues<Table extends Flags> = {
  [Option in keyof Table as Table[Option] extends ConfigFlag ? never : Option]: Table[Option]["fallback"];
};

/** Longest time that a timer of the runtime can wait, in whole seconds. */
const SECONDS_MAX = 2_147_483;

const BYTES_PER_MB = 1_000_000;

/** A flag of a kind of its own. */
export function valueFlag<T>(flag: ValueFlag<T>): ValueFlag<T> {
  return flag;
}

/** A flag that sets its option to true. */
export function switchFlag(name: string, help: string): SwitchFlag {
  return { name, value: null, help, fallback: false };
}

/** A flag that sets its option, which is otherwise true, to false. */
export function offSwitchFlag(name: string, help: string): SwitchFlag {
  return { name, value: null, help, fallback: true };
}

/** One of some words. */
export function choiceFlag<T extends string>(
  name: string,
  choices: readonly T[],
  fallback: T,
  help: string,
): ValueFlag<T> {
  return { name, ...choice(choices, fallback, help) };
}

/** One of some words, as a positional argument. */
export function choice<T extends string>(choices: readonly T[], fallback: T, help: string): ValueSpec<T> {
  return {
    value: choices.join("|"),
    help,
    takes: `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`,
    choices,
    fallbackText: fallback,
    fallback,
    parse: (text) => choices.find((choice) => choice === text),
  };
}

/** Words separated by commas; none given means all. */
export function listFlag<T extends string>(
  name: string,
  value: string,
  words: readonly T[],
  help: string,
): ValueFlag<T[]> {
  return {
    name,
    value,
    help,
    takes: `names separated by commas, out of ${words.join(", ")}`,
    choices: words,
    fallbackText: "all",
    fallback: [],
    parse: (text) => {
      const chosen = text.split(",").map((part) => words.find((word) => word === part));
      return chosen.every((word) => word !== undefined) ? [...new Set(chosen)] : undefined;
    },
  };
}

/** A whole number from `min` to `max`; `unit` is a noun in the plural. */
export function integerFlag(
  name: string,
  value: string,
  { min, max, unit, fallback }: { min: number; max: number; unit: string; fallback: number },
  help: string,
): ValueFlag<number> {
  return {
    name,
    value,
    help: `${help} (${min} to ${max})`,
    takes: `${min} to ${max} ${unit}`,
    fallbackText: String(fallback),
    fallback,
    parse: (text) => {
      const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

/** A size in megabytes; the option is in bytes. */
export function megabytesFlag(
  name: string,
  { min, max, fallback }: { min: number; max: number; fallback: number },
  help: string,
): ValueFlag<number> {
  return mapped(
    integerFlag(name, "N", { min, max, unit: "megabytes", fallback }, help),
    (count) => count * BYTES_PER_MB,
  );
}

/** The same flag whose option is what `convert` makes of the value. */
export function mapped<A, B>(flag: ValueFlag<A>, convert: (value: A) => B): ValueFlag<B> {
  return {
    ...flag,
    fallback: convert(flag.fallback),
    parse: (text) => {
      const value = flag.parse(text);
      return value === undefined ? undefined : convert(value);
    },
  };
}

/** An identifier, or null where the flag is not given. */
export function idFlag(name: string, value: string, min: number, max: number, help: string): ValueFlag<number | null> {
  return {
    name,
    value,
    help,
    takes: `a number from ${min} to ${max}`,
    fallback: null,
    parse: (text) => {
      const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return id >= min && id <= max ? id : undefined;
    },
  };
}

/** A time in seconds, fractions included. */
export function seconds<T extends number | null>(value: string, fallback: T, help: string): ValueSpec<number | T> {
  return {
    value,
    help,
    takes: `more than 0 and at most ${SECONDS_MAX} seconds`,
    fallback,
    parse: (text) => {
      const seconds = /^(\d{1,7}(\.\d{0,9})?|\.\d{1,9})$/.test(text) ? Number(text) : 0;
      return seconds > 0 && seconds <= SECONDS_MAX ? seconds : undefined;
    },
  };
}

/** Any text but the empty one, which stands for a flag that is not given. */
export function textFlag(
  flag: Pick<ValueFlag<string>, "name" | "value" | "help" | "takes" | "completes">,
): ValueFlag<string> {
  return { ...flag, fallback: "", parse: (text) => text === "" ? undefined : text };
}

/** Any text but the empty one, or null where the flag is not given. */
export function optionalTextFlag(
  flag: Pick<ValueFlag<string>, "name" | "value" | "help" | "takes" | "completes">,
): ValueFlag<string | null> {
  return { ...textFlag(flag), fallback: null };
}

/** The name of a file, or null where the flag is not given. */
export function fileFlag(name: string, help: string): ValueFlag<string | null> {
  return optionalTextFlag({ name, value: "FILE", help, takes: "the name of a file", completes: "file" });
}

/** `ADDRESS:PORT`, `[IPV6]:PORT`, or `off`, which is null. */
export function listenFlag(name: string, fallback: ListenAddress, help: string): ValueFlag<ListenAddress | null> {
  return {
    name,
    value: "ADDR:PORT|off",
    help,
    takes: "ADDRESS:PORT, [IPV6]:PORT or off",
    fallbackText: `${fallback.hostname}:${fallback.port}`,
    fallback,
    parse: (text) => {
      if (text === "off") return null;
      const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
      const hostname = bracketed ?? plain;
      return hostname === undefined || Number(port) > 65535 ? undefined : { hostname, port: Number(port) };
    },
  };
}
