/** Reads maps, lists and scalars of a YAML or JSON text, with the position of each mistake in the error. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { nearest } from "./suggest.ts";
import { jsonFault } from "./json_fault.ts";

const SHOWN_MAX_CHARS = 60;

/** A value of a map, with the offset of its key. */
export interface Entry {
  keyOffset: number;
  value: Node | null;
}

/** What a scalar must be. `take` returns its value, or null where the scalar is something else. */
export interface Expectation<T> {
  expected: string;
  /** Names that a wrong text may have been meant to be. */
  names?: readonly string[];
  take(value: unknown): T | null;
}

/** How a list is read. */
export interface ListOptions {
  itemsMax?: number;
  /** The word for the items in messages. */
  itemsName?: string;
  mayBeEmpty?: boolean;
}

export interface YamlReaderOptions {
  /**
   * `json` accepts JSON alone; `yaml` accepts YAML, which includes JSON without tabs. Default: YAML, and JSON with tabs
   * where the text begins with a brace.
   */
  format?: "json" | "yaml";
}

export class YamlReader {
  readonly #text: string;
  readonly #fileName: string;
  readonly #format: YamlReaderOptions["format"];
  readonly #lines = new LineCounter();

  /** @param fileName as the user gave it, for messages */
  constructor(text: string, fileName: string, options: YamlReaderOptions = {}) {
    this.#text = text;
    this.#fileName = fileName;
    this.#format = options.format;
  }

  /**
   * Parses the text; to be called before all other methods.
   *
   * @returns the outermost value
   * @throws {SyntaxError} as all methods do, in one line with line and column counted from 1: `rules.yaml:3:14: unknown
   * key "wndow_ms", did you mean window_ms?`
   */
  root(): Entry {
    const document = parseDocument(this.#yaml(), { lineCounter: this.#lines, prettyErrors: false, logLevel: "error" });
    const [error] = document.errors;
    if (error !== undefined) throw this.error(error.pos[0], error.message);
    return { keyOffset: 0, value: document.contents };
  }

  /**
   * The text for the YAML parser, which reads JSON but refuses tabs as indentation. Tabs become spaces, which changes
   * no value and no offset, because valid JSON has no tabs inside strings.
   */
  #yaml(): string {
    const text = this.#text;
    if (this.#format === "json") {
      const fault = jsonFault(text);
      if (fault !== null) {
        // What the YAML parser does on its way, which is not reached.
        for (const { index } of text.matchAll(/^|(?<=\n)/g)) this.#lines.addNewLine(index);
        throw this.error(fault.offset, `not JSON: ${fault.message}`);
      }
    }
    const isJson = this.#format === undefined ? /^\s*\{/.test(text) : this.#format === "json";
    return isJson ? text.replaceAll("\t", " ") : text;
  }

  /** The entries of a map, all of whose keys must be known. */
  entries<Key extends string>(
    { value, keyOffset }: Entry,
    expected: string,
    keys: readonly Key[],
  ): Partial<Record<Key, Entry>> {
    if (!isMap(value)) throw this.error(offsetOf(value, keyOffset), `expected ${expected}, got ${shown(value)}`);
    const entries: Partial<Record<Key, Entry>> = {};
    for (const item of (value as YAMLMap<Node, Node | null>).items) {
      const offset = offsetOf(item.key, offsetOf(value));
      const text = isScalar(item.key) ? String(item.key.value) : shown(item.key);
      const known = keys.find((candidate) => candidate === text);
      if (known === undefined) throw this.error(offset, `unknown key ${JSON.stringify(text)}${hint(text, keys)}`);
      entries[known] = { keyOffset: offset, value: item.value };
    }
    return entries;
  }

  list(
    key: string,
    { value, keyOffset }: Entry,
    { itemsMax = Infinity, itemsName = "items", mayBeEmpty = false }: ListOptions = {},
  ): Entry[] {
    if (!isSeq(value)) throw this.error(offsetOf(value, keyOffset), `${key} takes a list, got ${shown(value)}`);
    const items = value.items as Node[];
    if (items.length === 0 && !mayBeEmpty) {
      throw this.error(offsetOf(value, keyOffset), `${key} takes at least one item`);
    }
    if (items.length > itemsMax) {
      const excess = offsetOf(items[itemsMax], keyOffset);
      throw this.error(excess, `${key} takes at most ${itemsMax} ${itemsName}, got ${items.length}`);
    }
    return items.map((item) => ({ keyOffset: offsetOf(item, keyOffset), value: item }));
  }

  scalar<T>(key: string, { value, keyOffset }: Entry, { expected, names, take }: Expectation<T>): T {
    const plain = isScalar(value) ? value.value : null;
    const taken = plain === null ? null : take(plain);
    if (taken !== null) return taken;
    const near = names && typeof plain === "string" ? hint(plain, names) : "";
    throw this.error(offsetOf(value, keyOffset), `${key} takes ${expected}, got ${shown(value)}${near}`);
  }

  error(offset: number, message: string): SyntaxError {
    // Past the last character the position is that of the end.
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length));
    return new SyntaxError(`${this.#fileName}:${line}:${col}: ${message.replace(/\s+/g, " ").trim()}`);
  }
}

export function oneOf<T extends string>(names: readonly T[]): Expectation<T> {
  return { expected: listed(names), names, take: (value) => names.find((name) => name === value) ?? null };
}

export function integer(min: number, max: number): Expectation<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    take: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? Number(value) : null,
  };
}

export function text(charsMax: number): Expectation<string> {
  return {
    expected: `text of 1 to ${charsMax} characters`,
    take: (value) => typeof value === "string" && value !== "" && value.length <= charsMax ? value : null,
  };
}

/** `, did you mean NAME?`; empty where no name is near. */
export function hint(word: string, names: readonly string[]): string {
  const name = nearest(word, names);
  return name === null ? "" : `, did you mean ${name}?`;
}

/** `a, b or c`. */
export function listed(names: readonly string[]): string {
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** The offset of a value; that of its key where there is no value. */
export function startOf({ value, keyOffset }: Entry): number {
  return offsetOf(value, keyOffset);
}

function offsetOf(node: Node | null, otherwise = 0): number {
  return node?.range?.[0] ?? otherwise;
}

/** A value as messages show it. */
function shown(node: Node | null): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return "an alias, which is not supported here";
  const value = isScalar(node) ? node.value : null;
  if (value === null) return "nothing";
  const plain = JSON.stringify(value);
  return plain.length <= SHOWN_MAX_CHARS ? plain : `${plain.slice(0, SHOWN_MAX_CHARS - 1)}…`;
}
