/**
 * The language of `--filter`: which flows are shown.
 *
 *     expression  = and { ("or" | "||") and }
 *     and         = not { ("and" | "&&") not }
 *     not         = ("not" | "!") not | "(" expression ")" | primitive
 *     primitive   = "tcp" | "udp" | "icmp" | "icmp6" | "sctp" | "ip" | "ip6" | "ingress" | "egress"
 *                 | "proto" (NAME | 0..255) | "iface" NAME
 *                 | [ "src" | "dst" ] ( "host" ADDRESS | "net" CIDR | "port" (0..65535 | N-M | SERVICE) )
 *
 * The primitives mean what they mean to tcpdump, with two differences: `and` binds tighter than `or`, and words are
 * never joined by mere juxtaposition. `port` matches protocols that have ports, hence never ICMP.
 */

import { parseAddress, parseCidr } from "./address.ts";
import {
  hasPorts,
  PROTO_ICMP,
  PROTO_ICMP6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  protocolNumber,
  servicePort,
} from "./iana.ts";
import type { Direction } from "./protocol.ts";

/** Which end of a flow a primitive looks at. */
export type FilterSide = "src" | "dst" | "either";

/** A parsed filter: plain data, which survives `postMessage`. */
export type FilterExpression =
  | { kind: "and" | "or"; terms: FilterExpression[] }
  | { kind: "not"; term: FilterExpression }
  | { kind: "family"; family: 4 | 6 }
  | { kind: "proto"; proto: number }
  | { kind: "direction"; direction: Direction }
  | { kind: "iface"; iface: string }
  /** `address` has 4 or 16 bytes; a host is a net whose prefix is all of them. */
  | { kind: "net"; side: FilterSide; address: Uint8Array; prefix: number }
  /** First and last port, both included. */
  | { kind: "port"; side: FilterSide; first: number; last: number };

/** What a filter looks at. The addresses are lent for the time of the call: 4 or 16 bytes, network order. */
export interface FilterableFlow {
  family: 4 | 6;
  src: Uint8Array;
  dst: Uint8Array;
  /** Host byte order. */
  sport: number;
  dport: number;
  proto: number;
  iface: string;
  direction: Direction;
}

type Predicate = (flow: FilterableFlow) => boolean;

/** Parentheses and negations within each other: a bound on recursion, far above what anyone writes. */
const DEPTH_MAX = 100;

const PLAIN_WORDS: Record<string, FilterExpression> = {
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

/**
 * Parses a filter expression.
 *
 * @throws {SyntaxError} `expected a port number after "port" at character 9`, counted from 1.
 */
export function parseFilter(text: string): FilterExpression {
  return new Parser(text).parse();
}

/** Makes a predicate of a parsed filter. It allocates nothing when called and keeps nothing of the flow. */
export function compileFilter(expression: FilterExpression): Predicate {
  switch (expression.kind) {
    case "and":
      return joinPairs(expression.terms.map(compileFilter), (left, right) => (flow) => left(flow) && right(flow));
    case "or":
      return joinPairs(expression.terms.map(compileFilter), (left, right) => (flow) => left(flow) || right(flow));
    case "not": {
      const term = compileFilter(expression.term);
      return (flow) => !term(flow);
    }
    case "family": {
      const { family } = expression;
      return (flow) => flow.family === family;
    }
    case "proto": {
      const { proto } = expression;
      return (flow) => flow.proto === proto;
    }
    case "direction": {
      const { direction } = expression;
      return (flow) => flow.direction === direction;
    }
    case "iface": {
      const { iface } = expression;
      return (flow) => flow.iface === iface;
    }
    case "net": {
      const { address, prefix } = expression;
      const family = address.length === 4 ? 4 : 6;
      return forSide(
        expression.side,
        (flow) => flow.family === family && hasPrefix(flow.src, address, prefix),
        (flow) => flow.family === family && hasPrefix(flow.dst, address, prefix),
      );
    }
    case "port": {
      const { first, last } = expression;
      return forSide(
        expression.side,
        (flow) => flow.sport >= first && flow.sport <= last && hasPorts(flow.proto),
        (flow) => flow.dport >= first && flow.dport <= last && hasPorts(flow.proto),
      );
    }
    default:
      return expression satisfies never;
  }
}

/** Joins neighbours until one is left: a tree, so that a long chain neither nests deeply nor needs a loop per call. */
function joinPairs(terms: Predicate[], join: (left: Predicate, right: Predicate) => Predicate): Predicate {
  if (terms.length === 1) return terms[0];
  const middle = terms.length >> 1;
  return join(joinPairs(terms.slice(0, middle), join), joinPairs(terms.slice(middle), join));
}

function forSide(side: FilterSide, src: Predicate, dst: Predicate): Predicate {
  if (side === "either") return (flow) => src(flow) || dst(flow);
  return side === "src" ? src : dst;
}

function hasPrefix(bytes: Uint8Array, address: Uint8Array, prefix: number): boolean {
  const whole = prefix >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false;
  return prefix === whole << 3 || (bytes[whole] ^ address[whole]) >> (8 - (prefix & 7)) === 0;
}

interface Token {
  text: string;
  /** Counted from 1. */
  at: number;
}

class Parser {
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    // A word ends at a blank, a parenthesis, && or ||; "!" is an operator only where a word would start.
    const tokens = text.matchAll(/[()!]|&&|\|\||(?:(?!&&|\|\|)[^\s()])+/g);
    this.#tokens = Array.from(tokens, (match) => ({ text: match[0], at: match.index + 1 }));
  }

  parse(): FilterExpression {
    const expression = this.#or();
    if (this.#next < this.#tokens.length) throw this.#expected('"and", "or" or the end');
    return expression;
  }

  #or(): FilterExpression {
    const terms = [this.#and()];
    while (this.#accept("or", "||")) terms.push(this.#and());
    return terms.length === 1 ? terms[0] : { kind: "or", terms };
  }

  #and(): FilterExpression {
    const terms = [this.#not()];
    while (this.#accept("and", "&&")) terms.push(this.#not());
    return terms.length === 1 ? terms[0] : { kind: "and", terms };
  }

  #not(): FilterExpression {
    if (++this.#depth > DEPTH_MAX) {
      throw new SyntaxError(
        `more than ${DEPTH_MAX} levels of "not" and "(" at character ${this.#tokens[this.#next].at}`,
      );
    }
    let expression: FilterExpression;
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

  #primitive(): FilterExpression {
    const word = this.#tokens[this.#next]?.text ?? "";
    if (Object.hasOwn(PLAIN_WORDS, word)) {
      this.#next++;
      return PLAIN_WORDS[word];
    }
    if (this.#accept("proto")) {
      const proto = this.#operand(
        "a protocol name or number",
        (text) => protocolNumber(text) ?? parseNumber(text, 255),
      );
      return { kind: "proto", proto };
    }
    if (this.#accept("iface")) {
      return { kind: "iface", iface: this.#operand("an interface name", (text) => text === ")" ? null : text) };
    }

    const side = this.#accept("src") ? "src" : this.#accept("dst") ? "dst" : "either";
    if (this.#accept("host")) {
      const address = this.#operand("an IP address", parseAddress);
      return { kind: "net", side, address, prefix: address.length * 8 };
    }
    if (this.#accept("net")) {
      return { kind: "net", side, ...this.#operand("a network like 10.0.0.0/8", parseCidr) };
    }
    if (this.#accept("port")) {
      const [first, last] = this.#operand("a port number", parsePorts);
      return { kind: "port", side, first, last };
    }
    throw this.#expected(side === "either" ? "a condition" : '"host", "net" or "port"');
  }

  #accept(...texts: string[]): boolean {
    const accepted = texts.includes(this.#tokens[this.#next]?.text);
    if (accepted) this.#next++;
    return accepted;
  }

  /** Takes the next token as an operand that `parse` understands. */
  #operand<T>(what: string, parse: (text: string) => T | null): T {
    const token = this.#tokens[this.#next];
    const operand = token === undefined ? null : parse(token.text);
    if (operand === null) throw this.#expected(what);
    this.#next++;
    return operand;
  }

  /** The position is that of the word after which something else was expected. */
  #expected(what: string): SyntaxError {
    const before = this.#tokens[this.#next - 1];
    const got = this.#tokens[this.#next];
    const place = before === undefined
      ? "at character 1"
      : `after ${JSON.stringify(before.text)} at character ${before.at}`;
    return new SyntaxError(`expected ${what} ${place}${got === undefined ? "" : `, got ${JSON.stringify(got.text)}`}`);
  }
}

function parseNumber(text: string, max: number): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= max ? Number(text) : null;
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
