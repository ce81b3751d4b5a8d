/**
 * The language of `--filter`: which flows or events are shown.
 *
 *     expression  = and { ("or" | "||") and }
 *     and         = not { ("and" | "&&") not }
 *     not         = ("not" | "!") not | "(" expression ")" | primitive
 *     primitive   = "tcp" | "udp" | "icmp" | "icmp6" | "sctp" | "ip" | "ip6" | "proto" (NAME | 0..255)
 *                 | [ "src" | "dst" ] ( "host" ADDRESS | "net" CIDR | "port" (0..65535 | N-M | SERVICE) )
 *                 | "pid" [ RELATION ] NUMBER | "comm" TEXT
 *       of flows  | "ingress" | "egress" | "iface" TEXT | "container" TEXT
 *       of events | "uid" [ RELATION ] NUMBER | "event" TYPE | "severity" [ RELATION ] SEVERITY
 *                 | "priority" [ RELATION ] (1 | 2 | 3) | "category" CATEGORY | "path" TEXT | "cgroup" NUMBER
 *     RELATION    = "<" | "<=" | ">" | ">="
 *     TEXT        = a word, or anything between double quotes, where \" and \\ stand for themselves
 *
 * The primitives mean what they mean to tcpdump, with two differences: `and` binds tighter than `or`, and words are
 * never joined by mere juxtaposition. `port` matches protocols that have ports, hence never ICMP. The more severe of
 * two severities is the greater: `severity >= error` is critical and error. `comm` compares the whole name; `path` and
 * `container` compare its beginning. What each primitive looks at is in flows.ts and events.ts.
 */

import { parseAddress, parseCidr } from "../net/address.ts";
import { PROTO_ICMP, PROTO_ICMP6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, protocolNumber, servicePort } from "../net/iana.ts";
import type { Direction } from "../wire/traffic.ts";
import { CATEGORIES, type Category } from "../events/types/category.ts";
import { EVENT_TYPES, type EventType, SEVERITIES } from "../events/event.ts";

/** Which end of a flow or connection a primitive looks at. */
export type FilterSide = "src" | "dst" | "either";

/** What a filter chooses. */
export type FilterSubject = "flow" | "event";

/** First and last, both included. None is in a range whose last comes before its first. */
export interface Range {
  first: number;
  last: number;
}

type SharedPrimitive =
  | { kind: "family"; family: 4 | 6 }
  | { kind: "proto"; proto: number }
  /** `address` has 4 or 16 bytes; a host is a net whose prefix is all of them. */
  | { kind: "net"; side: FilterSide; address: Uint8Array; prefix: number }
  | { kind: "port"; side: FilterSide } & Range
  | { kind: "pid" } & Range
  | { kind: "comm"; comm: string };

export type FlowPrimitive =
  | SharedPrimitive
  | { kind: "direction"; direction: Direction }
  | { kind: "iface"; iface: string }
  | { kind: "container"; prefix: string };

export type EventPrimitive =
  | SharedPrimitive
  | { kind: "uid" } & Range
  | { kind: "event"; event: EventType }
  /** Indices in SEVERITIES: 0 is critical. */
  | { kind: "severity" } & Range
  | { kind: "priority" } & Range
  | { kind: "category"; category: Category }
  | { kind: "path"; prefix: string }
  | { kind: "cgroup"; id: bigint };

/** A parsed filter: plain data, which survives `postMessage`. */
export type FilterExpression<Primitive> =
  | { kind: "and" | "or"; terms: FilterExpression<Primitive>[] }
  | { kind: "not"; term: FilterExpression<Primitive> }
  | Primitive;
export type FlowFilter = FilterExpression<FlowPrimitive>;
export type EventFilter = FilterExpression<EventPrimitive>;

type AnyPrimitive = FlowPrimitive | EventPrimitive;
type AnyFilter = FilterExpression<AnyPrimitive>;

/** Upper bound of nested parentheses and negations, so that the parser's recursion ends; nobody writes as many. */
const DEPTH_MAX = 100;

/** The kernel keeps no more bytes of a command's name: a longer name would never match. */
const COMM_BYTES_MAX = 15;

const NUMBER_MAX = 2 ** 32 - 1;

const QUOTED = /^"(?:[^"\\]|\\[^])*"$/;

const PLAIN_WORDS: Record<string, AnyPrimitive> = {
  tcp: { kind: "proto", proto: PROTO_TCP },
  udp: { kind: "proto", proto: PROTO_UDP },
  icmp: { kind: "proto", proto: PROTO_ICMP },
  icmp6: { kind: "proto", proto: PROTO_ICMP6 },
  sctp: { kind: "proto", proto: PROTO_SCTP },
  ip: { kind: "family", family: 4 },
  ip6: { kind: "family", family: 6 },
  ingress: { kind: "direction", direction: "ingress" },
  egress: { kind: "direction", direction: "egress" },
};

/** Words that only one subject knows. */
const SUBJECT_OF_WORD: Record<string, FilterSubject> = {
  ingress: "flow",
  egress: "flow",
  iface: "flow",
  // Events are filtered before anything is known of their containers.
  container: "flow",
  uid: "event",
  event: "event",
  severity: "event",
  priority: "event",
  category: "event",
  path: "event",
  cgroup: "event",
};

const RELATIONS = ["<", "<=", ">", ">="] as const;
type Relation = typeof RELATIONS[number];

/**
 * Parses a filter of flows.
 *
 * @throws {SyntaxError} `expected a port number after "port" at character 9`, counted from 1.
 */
export function parseFlowFilter(text: string): FlowFilter {
  return new Parser(text, "flow").parse() as FlowFilter;
}

/**
 * Parses a filter of events.
 *
 * @throws {SyntaxError} `expected a severity after "severity" at character 1`, counted from 1.
 */
export function parseEventFilter(text: string): EventFilter {
  return new Parser(text, "event").parse() as EventFilter;
}

interface Token {
  /** The token as it was written. */
  text: string;
  /** The text without quotes and escapes. */
  value: string;
  quoted: boolean;
  /** Counted from 1. */
  at: number;
}

class Parser {
  readonly #subject: FilterSubject;
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string, subject: FilterSubject) {
    this.#subject = subject;
    // A word ends at a blank, a parenthesis, && or ||; "!" is an operator only where a word would start.
    const tokens = text.matchAll(/"(?:[^"\\]|\\[^])*"|[()!]|&&|\|\||(?:(?!&&|\|\|)[^\s()])+/g);
    this.#tokens = Array.from(tokens, (match) => toToken(match[0], match.index + 1));
  }

  parse(): AnyFilter {
    const expression = this.#or();
    if (this.#next < this.#tokens.length) throw this.#expected('"and", "or" or the end');
    return expression;
  }

  #or(): AnyFilter {
    const terms = [this.#and()];
    while (this.#accept("or", "||")) terms.push(this.#and());
    return terms.length === 1 ? terms[0] : { kind: "or", terms };
  }

  #and(): AnyFilter {
    const terms = [this.#not()];
    while (this.#accept("and", "&&")) terms.push(this.#not());
    return terms.length === 1 ? terms[0] : { kind: "and", terms };
  }

  #not(): AnyFilter {
    if (++this.#depth > DEPTH_MAX) {
      throw new SyntaxError(
        `more than ${DEPTH_MAX} levels of "not" and "(" at character ${this.#tokens[this.#next].at}`,
      );
    }
    let expression: AnyFilter;
    if (this.#accept("not", "!")) {
      expression = { kind: "not", term: this.#not() };
    } else if (this.#accept("(")) {
      expression = this.#or();
      if (!this.#accept(")")) throw this.#expected('"and", "or" or ")"');
    } else {
      expression = this.#primitive();
    }
    this.#depth--;
    return expression;
  }

  #primitive(): AnyPrimitive {
    const word = this.#word();
    this.#refuseWordOfOther(word);
    if (Object.hasOwn(PLAIN_WORDS, word)) {
      this.#next++;
      return PLAIN_WORDS[word];
    }
    switch (word) {
      case "src":
      case "dst":
        this.#next++;
        return this.#end(word) ?? fail(this.#expected('"host", "net" or "port"'));
      case "proto": {
        this.#next++;
        const proto = this.#operand(
          "a protocol name or number",
          ({ value }) => protocolNumber(value) ?? parseNumber(value, 255),
        );
        return { kind: "proto", proto };
      }
      case "iface":
        this.#next++;
        return { kind: "iface", iface: this.#operand("an interface name", textOf) };
      case "container":
        this.#next++;
        return { kind: "container", prefix: this.#operand("the start of a container's id", nonEmptyText) };
      case "pid":
      case "uid":
        this.#next++;
        return {
          kind: word,
          ...this.#range(`a ${word}`, { parse: (text) => parseNumber(text, NUMBER_MAX), min: 0, max: NUMBER_MAX }),
        };
      case "comm":
        this.#next++;
        return { kind: "comm", comm: this.#operand(`a name of 1 to ${COMM_BYTES_MAX} bytes`, commOf) };
      case "event":
        this.#next++;
        return { kind: "event", event: this.#operand("a type of event", ({ value }) => memberOf(EVENT_TYPES, value)) };
      case "severity":
        this.#next++;
        return { kind: "severity", ...this.#severities() };
      case "priority":
        this.#next++;
        return {
          kind: "priority",
          ...this.#range("1, 2 or 3", { parse: (text) => /^[123]$/.test(text) ? Number(text) : null, min: 1, max: 3 }),
        };
      case "category":
        this.#next++;
        return { kind: "category", category: this.#operand("a category", ({ value }) => memberOf(CATEGORIES, value)) };
      case "path":
        this.#next++;
        return { kind: "path", prefix: this.#operand("the start of a path", nonEmptyText) };
      case "cgroup":
        this.#next++;
        return { kind: "cgroup", id: this.#operand("a cgroup's number", ({ value }) => parseUint64(value)) };
      default:
        return this.#end("either") ?? fail(this.#expected("a condition"));
    }
  }

  /** `host`, `net` or `port`; null where none of them stands. */
  #end(side: FilterSide): SharedPrimitive | null {
    if (this.#accept("host")) {
      const address = this.#operand("an IP address", ({ value }) => parseAddress(value));
      return { kind: "net", side, address, prefix: address.length * 8 };
    }
    if (this.#accept("net")) {
      return { kind: "net", side, ...this.#operand("a network like 10.0.0.0/8", ({ value }) => parseCidr(value)) };
    }
    if (this.#accept("port")) {
      const [first, last] = this.#operand("a port number", ({ value }) => parsePorts(value));
      return { kind: "port", side, first, last };
    }
    return null;
  }

  /** Parses an optional relation and a number, into the range of numbers from `min` to `max` for which it holds. */
  #range(
    what: string,
    { parse, min, max }: { parse: (text: string) => number | null; min: number; max: number },
  ): Range {
    const relation = this.#relation();
    const value = this.#operand(what, (token) => parse(token.value));
    switch (relation) {
      case null:
        return { first: value, last: value };
      case "<":
        return { first: min, last: value - 1 };
      case "<=":
        return { first: min, last: value };
      case ">":
        return { first: value + 1, last: max };
      case ">=":
        return { first: value, last: max };
      default:
        return relation satisfies never;
    }
  }

  /** Parses a relation and a severity. The range is turned around, since the greater severity has the lower number. */
  #severities(): Range {
    const least = SEVERITIES.length - 1;
    const parse = (text: string) => {
      const index = SEVERITIES.findIndex((name) => name === text);
      return index < 0 ? null : least - index;
    };
    const { first, last } = this.#range("a severity", { parse, min: 0, max: least });
    return { first: least - last, last: least - first };
  }

  #relation(): Relation | null {
    const relation = memberOf(RELATIONS, this.#word());
    if (relation !== null) this.#next++;
    return relation;
  }

  /** The next token, unless it is quoted, which makes it an operand. */
  #word(): string {
    const token = this.#tokens[this.#next];
    return token === undefined || token.quoted ? "" : token.text;
  }

  #refuseWordOfOther(word: string): void {
    const subject = Object.hasOwn(SUBJECT_OF_WORD, word) ? SUBJECT_OF_WORD[word] : this.#subject;
    if (subject === this.#subject) return;
    const { at } = this.#tokens[this.#next];
    throw new SyntaxError(
      `${JSON.stringify(word)} at character ${at} is for filters of ${subject}s, not of ${this.#subject}s`,
    );
  }

  #accept(...texts: string[]): boolean {
    const accepted = texts.includes(this.#word());
    if (accepted) this.#next++;
    return accepted;
  }

  /** Takes the next token as an operand that `parse` understands. */
  #operand<T>(what: string, parse: (token: Token) => T | null): T {
    const token = this.#tokens[this.#next];
    const operand = token === undefined ? null : parse(token);
    if (operand === null) throw this.#expected(what);
    this.#next++;
    return operand;
  }

  /** The error's position is that of the word before the one that is wrong. */
  #expected(what: string): SyntaxError {
    const before = this.#tokens[this.#next - 1];
    const got = this.#tokens[this.#next];
    const place = before === undefined
      ? "at character 1"
      : `after ${JSON.stringify(before.text)} at character ${before.at}`;
    return new SyntaxError(`expected ${what} ${place}${got === undefined ? "" : `, got ${JSON.stringify(got.text)}`}`);
  }
}

function fail(error: SyntaxError): never {
  throw error;
}

function toToken(text: string, at: number): Token {
  if (!text.startsWith('"')) return { text, value: text, quoted: false, at };
  if (!QUOTED.test(text)) throw new SyntaxError(`quote without an end at character ${at}`);
  return { text, value: text.slice(1, -1).replaceAll(/\\([^])/g, "$1"), quoted: true, at };
}

/** The text of a token; null for a parenthesis without quotes. */
function textOf({ value, quoted }: Token): string | null {
  return !quoted && (value === "(" || value === ")") ? null : value;
}

function nonEmptyText(token: Token): string | null {
  return textOf(token) || null;
}

function commOf(token: Token): string | null {
  const text = nonEmptyText(token);
  return text === null || new TextEncoder().encode(text).length > COMM_BYTES_MAX ? null : text;
}

function memberOf<T extends string>(names: readonly T[], text: string): T | null {
  return names.find((name) => name === text) ?? null;
}

function parseNumber(text: string, max: number): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : null;
}

function parseUint64(text: string): bigint | null {
  return /^\d{1,20}$/.test(text) && BigInt(text) < 2n ** 64n ? BigInt(text) : null;
}

/** `80`, `8000-8999` or a service name. */
function parsePorts(text: string): [first: number, last: number] | null {
  const service = servicePort(text);
  if (service !== undefined) return [service, service];
  const [firstText, lastText = firstText, ...rest] = text.split("-");
  const first = parseNumber(firstText, 65535);
  const last = parseNumber(lastText, 65535);
  return rest.length > 0 || first === null || last === null || first > last ? null : [first, last];
}
