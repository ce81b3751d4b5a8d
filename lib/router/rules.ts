/**
 * Rules that raise or lower the severity of events: the built-in ones, and those of a `--config` file.
 *
 *     rules:
 *       - name: shadow is read
 *         match: { event: file_open, path_prefix: /etc/shadow, result: 0 }
 *         severity: critical
 *       - name: whatever sshd does
 *         match: { comm: sshd }
 *         at_least: warning
 *
 * All conditions of `match` must hold. `severity` sets, `at_least` raises and never lowers. The first rule that matches
 * applies, and those of a file stand before the built-in ones.
 */

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { nearest } from "../cli/suggest.ts";
import { errnoName } from "../errors.ts";
import { EVENT_TYPES, type EventType, type RuleMatch, SEVERITIES, type SeverityRule } from "./protocol.ts";

/** All rules together: a rule is a bit in bpf/router.h. */
export const RULES_MAX = 64;
/** The kernel keeps 16 bytes of a task's name, the last of which is NUL. */
export const COMM_MAX_BYTES = 15;
/** RULE_PREFIX_MAX_BYTES of bpf/router.h. */
export const PATH_PREFIX_MAX_BYTES = 128;

const UNEXPECTED_TOKEN = "Unexpected token";
const NAME_MAX_CHARS = 100;
const UID_MAX = 0xffff_fffe; // 0xffffffff is "no user" to the kernel
const ERRNO_MAX = 4095;

/** Errors by name, `EPERM` and so on, as far as this program knows names. */
const ERRNO_BY_NAME = new Map(
  Array.from({ length: ERRNO_MAX }, (_, i): [string, number] => [errnoName(i + 1), i + 1])
    .filter(([name]) => name.startsWith("E")),
);

/** What only some events have: a rule that asks it of others could never apply. */
const PATH_EVENTS: readonly EventType[] = ["process_exec", "file_open"];
const PORT_EVENTS: readonly EventType[] = ["network_connect", "tcp_state"];

/** Files whose opening deserves a look, whoever does it. Prefixes: `/etc/shadow` covers `/etc/shadow-` too. */
const SENSITIVE_PATHS: readonly [name: string, prefix: string][] = [
  ["password hashes", "/etc/shadow"],
  ["group password hashes", "/etc/gshadow"],
  ["sudo rules", "/etc/sudoers"], // and /etc/sudoers.d/
  ["ssh keys of root", "/root/.ssh/"],
  ["ssh keys of the host", "/etc/ssh/"],
  ["memory of the kernel", "/proc/kcore"],
  ["physical memory", "/dev/mem"],
  ["kernel memory", "/dev/kmem"],
  ["addresses of the kernel", "/proc/kallsyms"],
  ["debugfs", "/sys/kernel/debug"],
  ["tracefs", "/sys/kernel/tracing"],
  ["bpffs", "/sys/fs/bpf"],
];

/** Apply after the rules of a file. */
export const BUILTIN_RULES: readonly SeverityRule[] = SENSITIVE_PATHS.map(([name, prefix]) => openRule(name, prefix));

/**
 * Rules for the ssh folders of the users in the text of /etc/passwd: a prefix cannot say "of whichever user". Only users
 * who can log in have keys worth a rule; root's is built in.
 */
export function homeSshRules(passwd: string): SeverityRule[] {
  const homes = passwd.split("\n").map((line) => line.split(":"))
    .filter(([, , , , , home = "", shell = ""]) => /^\/[^/]/.test(home) && !/\/(nologin|false|sync)$/.test(shell))
    .map((fields) => `${fields[5].replace(/\/+$/, "")}/.ssh/`)
    .filter((prefix) => prefix !== "/root/.ssh/" && byteLength(prefix) <= PATH_PREFIX_MAX_BYTES);
  return [...new Set(homes)].map((prefix) => openRule("ssh keys of a user", prefix));
}

/**
 * The rules of a run, in their order. Where there are too many, the last give way.
 *
 * @param own those of the `--config` file
 * @param passwd text of /etc/passwd
 */
export function allRules(own: readonly SeverityRule[], passwd: string): { rules: SeverityRule[]; leftOut: number } {
  const rules = [...own, ...BUILTIN_RULES, ...homeSshRules(passwd)];
  return { rules: rules.slice(0, RULES_MAX), leftOut: Math.max(0, rules.length - RULES_MAX) };
}

/**
 * Reads the rules of a configuration file.
 *
 * @param fileName as the user named it, for messages
 * @throws {SyntaxError} one line: `rules.yaml:3:14: unknown severity "warnin", did you mean warning?`, line and column
 * counted from 1
 */
export function parseRules(text: string, format: "json" | "yaml", fileName: string): SeverityRule[] {
  return new RulesReader(text, format, fileName).read();
}

function openRule(name: string, pathPrefix: string): SeverityRule {
  return { name, match: { event: "file_open", pathPrefix }, action: { atLeast: "warning" } };
}

/** A value of a map, with where it and its key stand. */
interface Entry {
  keyOffset: number;
  value: Node | null;
}

/** What a scalar must be: its value, or null where it is none. */
interface Expectation<T> {
  expected: string;
  /** For the near miss of a wrong text. */
  names?: readonly string[];
  take(value: unknown): T | null;
}

class RulesReader {
  readonly #text: string;
  readonly #format: "json" | "yaml";
  readonly #fileName: string;
  readonly #lines = new LineCounter();

  constructor(text: string, format: "json" | "yaml", fileName: string) {
    this.#text = text;
    this.#format = format;
    this.#fileName = fileName;
  }

  read(): SeverityRule[] {
    const root = this.#parse();
    const { rules } = this.#entries(root, 0, "a map with the key rules", ["rules"]);
    if (rules === undefined) throw this.#error(offsetOf(root), "rules is missing");
    const { value, keyOffset } = rules;
    if (!isSeq(value)) throw this.#error(offsetOf(value, keyOffset), `rules takes a list, got ${shown(value)}`);
    if (value.items.length > RULES_MAX) {
      const excess = value.items[RULES_MAX] as Node;
      throw this.#error(offsetOf(excess), `rules takes at most ${RULES_MAX} rules, got ${value.items.length}`);
    }
    return value.items.map((item) => this.#rule(item as Node, keyOffset));
  }

  #parse(): Node | null {
    let text = this.#text;
    if (this.#format === "json") {
      try {
        JSON.parse(text);
      } catch (error) {
        this.#findLines(text);
        const message = (error as Error).message.replace(/( in JSON at position|, "|, \.\.\.").*/s, "");
        throw this.#error(jsonErrorOffset(text, error as Error), `not JSON: ${message}`);
      }
      // YAML does not indent with tabs. Valid JSON has none inside strings, so this moves nothing.
      text = text.replaceAll("\t", " ");
    }
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, logLevel: "error" });
    const [error] = document.errors;
    if (error !== undefined) throw this.#error(error.pos[0], error.message);
    return document.contents;
  }

  /** What the parser does on its way, where it is not reached. */
  #findLines(text: string): void {
    for (const { index } of text.matchAll(/^|(?<=\n)/g)) this.#lines.addNewLine(index);
  }

  #rule(node: Node, parentOffset: number): SeverityRule {
    const keys = ["name", "match", "severity", "at_least"] as const;
    const { name, match, severity, at_least: atLeast } = this.#entries(node, parentOffset, "a map", keys);
    const at = offsetOf(node, parentOffset);
    if (name === undefined) throw this.#error(at, "the rule has no name");
    if (match === undefined) throw this.#error(at, "the rule has no match");
    if (severity !== undefined && atLeast !== undefined) {
      throw this.#error(
        Math.max(severity.keyOffset, atLeast.keyOffset),
        "a rule has severity or at_least, not both",
      );
    }
    const judged = severity ?? atLeast;
    if (judged === undefined) throw this.#error(at, "the rule has neither severity nor at_least");
    const level = this.#scalar(severity ? "severity" : "at_least", judged, oneOf(SEVERITIES));
    return {
      name: this.#scalar("name", name, {
        expected: `text of 1 to ${NAME_MAX_CHARS} characters`,
        take: (value) => typeof value === "string" && value !== "" && value.length <= NAME_MAX_CHARS ? value : null,
      }),
      match: this.#match(match),
      action: severity ? { set: level } : { atLeast: level },
    };
  }

  #match({ value: node, keyOffset }: Entry): RuleMatch {
    const keys = ["event", "path_prefix", "uid", "comm", "port", "result"] as const;
    const entries = this.#entries(node, keyOffset, "a map of conditions", keys);
    const { event, path_prefix: pathPrefix, uid, comm, port, result } = entries;
    const match: RuleMatch = {};
    if (event) match.event = this.#scalar("event", event, oneOf(EVENT_TYPES));
    if (pathPrefix) {
      match.pathPrefix = this.#scalar("path_prefix", pathPrefix, {
        expected: `an absolute path of at most ${PATH_PREFIX_MAX_BYTES} bytes`,
        take: (value) => isText(value, PATH_PREFIX_MAX_BYTES) && value.startsWith("/") ? value : null,
      });
    }
    if (uid) match.uid = this.#scalar("uid", uid, integer(0, UID_MAX));
    if (comm) {
      match.comm = this.#scalar("comm", comm, {
        expected: `a command name of 1 to ${COMM_MAX_BYTES} bytes, which is what the kernel keeps of one`,
        take: (value) => isText(value, COMM_MAX_BYTES) ? value : null,
      });
    }
    if (port) match.port = this.#scalar("port", port, integer(1, 65535));
    if (result) match.result = this.#scalar("result", result, RESULT);

    if (Object.keys(match).length === 0) {
      throw this.#error(offsetOf(node, keyOffset), `match takes at least one of ${listed(keys)}`);
    }
    if (pathPrefix && port) throw this.#error(port.keyOffset, "no event has both a path and a port");
    if (pathPrefix) this.#requireEvent(match.event, "path_prefix", PATH_EVENTS, pathPrefix);
    if (port) this.#requireEvent(match.event, "port", PORT_EVENTS, port);
    return match;
  }

  #requireEvent(event: EventType | undefined, key: string, events: readonly EventType[], entry: Entry): void {
    if (event === undefined || events.includes(event)) return;
    throw this.#error(entry.keyOffset, `${key} is for ${listed(events)}; ${event} has none`);
  }

  /** The entries of a map, all of whose keys must be known. */
  #entries<Key extends string>(
    node: Node | null,
    parentOffset: number,
    expected: string,
    keys: readonly Key[],
  ): Partial<Record<Key, Entry>> {
    if (!isMap(node)) throw this.#error(offsetOf(node, parentOffset), `expected ${expected}, got ${shown(node)}`);
    const entries: Partial<Record<Key, Entry>> = {};
    for (const { key, value } of (node as YAMLMap<Node, Node | null>).items) {
      const keyOffset = offsetOf(key, offsetOf(node));
      const text = isScalar(key) ? String(key.value) : shown(key);
      const known = keys.find((candidate) => candidate === text);
      if (known === undefined) {
        throw this.#error(keyOffset, `unknown key ${JSON.stringify(text)}${hint(text, keys)}`);
      }
      entries[known] = { keyOffset, value };
    }
    return entries;
  }

  #scalar<T>(key: string, { value, keyOffset }: Entry, { expected, names, take }: Expectation<T>): T {
    const plain = isScalar(value) ? value.value : null;
    const taken = plain === null ? null : take(plain);
    if (taken !== null) return taken;
    const near = names && typeof plain === "string" ? hint(plain, names) : "";
    throw this.#error(offsetOf(value, keyOffset), `${key} takes ${expected}, got ${shown(value)}${near}`);
  }

  #error(offset: number, message: string): SyntaxError {
    // Past the last character the position is that of the end.
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length));
    return new SyntaxError(`${this.#fileName}:${line}:${col}: ${message.replace(/\s+/g, " ").trim()}`);
  }
}

/** Where JSON.parse stumbled. Its message has the position, or says that a token was unexpected, or the end. */
function jsonErrorOffset(text: string, error: Error): number {
  const said = /at position (\d+)/.exec(error.message)?.[1];
  if (said !== undefined) return Number(said);
  // The parser stops at its first error: the shortest text that still has it ends with the unexpected token.
  let [good, bad] = [0, text.length];
  while (error.message.startsWith(UNEXPECTED_TOKEN) && good < bad) {
    const middle = (good + bad) >> 1;
    if (hasUnexpectedToken(text.slice(0, middle + 1))) bad = middle;
    else good = middle + 1;
  }
  return bad;
}

function hasUnexpectedToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return (error as Error).message.startsWith(UNEXPECTED_TOKEN);
  }
}

const RESULT: Expectation<number> = {
  expected: `0, -${ERRNO_MAX} to -1, or the name of an error such as EPERM`,
  names: [...ERRNO_BY_NAME.keys()],
  take(value) {
    if (typeof value === "string") return ERRNO_BY_NAME.has(value) ? -ERRNO_BY_NAME.get(value)! : null;
    return integer(-ERRNO_MAX, 0).take(value);
  },
};

function oneOf<T extends string>(names: readonly T[]): Expectation<T> {
  return { expected: listed(names), names, take: (value) => names.find((name) => name === value) ?? null };
}

function integer(min: number, max: number): Expectation<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    take: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? Number(value) : null,
  };
}

/** Whether a value is text that fits in so many bytes of UTF-8, and that C can hold. */
export function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0") && byteLength(value) <= maxBytes;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function offsetOf(node: Node | null, otherwise = 0): number {
  return node?.range?.[0] ?? otherwise;
}

function hint(word: string, names: readonly string[]): string {
  const name = nearest(word, names);
  return name === null ? "" : `, did you mean ${name}?`;
}

/** `a, b or c`. */
function listed(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** A value as a message shows it. */
function shown(node: Node | null): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return "an alias, which is not supported here";
  const value = isScalar(node) ? node.value : null;
  if (value === null) return "nothing";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
