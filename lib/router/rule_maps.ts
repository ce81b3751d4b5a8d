/**
 * A rule set as the tables by which programs judge events. A rule, a filter or a watch list is a bit; each value that
 * one of them asks for maps to the bits of all that ask for it. See judge() in bpf/router_rules.h.
 */
import { ADDRESSED_TYPES, EVENT_TYPES, type EventType, SEVERITIES } from "../events/event.ts";
import type { FilterMatch, RuleMatch, RuleSet, WatchList } from "../events/rule_set.ts";
import type { Cidr } from "../net/address.ts";
import { cgroupId } from "../ffi/cgroup.ts";
import { writeField } from "../wire/layout.ts";
import {
  EVENT_LIMIT,
  RULE_BITS,
  RULE_DIMENSION,
  RULE_KEY,
  RULE_NET_KEY,
  RULE_PATH_KEY,
  RULE_SET,
} from "../wire/layouts.gen.ts";

export const RULES_MAX = RULE_SET.fields.actions.size;
const PREFIX_BYTES_MAX = RULE_PATH_KEY.fields.path.size;
const COMM_BYTES_MAX = 15;
const AT_LEAST = 128;
const NS_PER_S = 1e9;
const MAPPED_PREFIX = 96;

export type Bytes = Uint8Array<ArrayBuffer>;
export type MapEntry = [key: Bytes, value: Bytes];

/** The contents of the tables, in the order of `enum rule_structure`. */
export interface CompiledRules {
  set: Bytes;
  values: MapEntry[];
  paths: MapEntry[];
  nets: MapEntry[];
}

/** struct rule_bits. */
interface Bits {
  rules: bigint;
  filters: bigint;
  watches: bigint;
}

function noBits(): Bits {
  return { rules: 0n, filters: 0n, watches: 0n };
}

function addBits(sum: Bits, { rules, filters, watches }: Bits): void {
  sum.rules |= rules;
  sum.filters |= filters;
  sum.watches |= watches;
}

function bitsValue(bits: Bits): Bytes {
  const value = new DataView(new ArrayBuffer(RULE_BITS.size));
  for (const field of ["rules", "filters", "watches"] as const) writeField(value, RULE_BITS, field, bits[field]);
  return new Uint8Array(value.buffer);
}

/** The members of a match in the order of `enum rule_dimension`. */
const MEMBERS = ["uid", "comm", "port", "result", "pid", "cgroup", "pathPrefix", "net"] as const satisfies readonly (
  keyof FilterMatch
)[];

/** The bits of the matches for which `holds` is true. */
function bitsWhere<M>(matches: readonly M[], holds: (match: M) => boolean): bigint {
  return matches.reduce((bits, match, i) => holds(match) ? bits | 1n << BigInt(i) : bits, 0n);
}

function mayMatch({ event }: RuleMatch, type: EventType): boolean {
  return event === undefined || event === type;
}

/**
 * Makes the tables of a rule set.
 *
 * @param rateLimit the rate limit of a set that has none
 * @throws {RangeError} for too many rules, a path prefix or a comm that is too long
 * @throws {SystemError} for a cgroup that does not exist
 */
export function compileRules(ruleSet: RuleSet, rateLimit: number): CompiledRules {
  const { rules, filters = [], watch = [] } = ruleSet;
  for (const [what, list] of [["severity rules", rules], ["filters", filters], ["watch lists", watch]] as const) {
    if (list.length > RULES_MAX) {
      throw new RangeError(`Cannot use ${list.length} ${what}: at most ${RULES_MAX} are possible`);
    }
  }
  // The lowest bit counts, so the most severe list comes first.
  const lists = watch.toSorted((a, b) => SEVERITIES.indexOf(a.atLeast) - SEVERITIES.indexOf(b.atLeast));
  const matches = { rules: rules.map(({ match }) => match), filters: filters.map(({ match }) => match) };
  return {
    set: compileSet(ruleSet, { matches, lists, rateLimit: ruleSet.rateLimit ?? rateLimit }),
    values: valueEntries(matches, lists),
    paths: pathEntries(matches),
    nets: netEntries(matches.filters, lists),
  };
}

interface Matches {
  rules: RuleMatch[];
  filters: FilterMatch[];
}

function compileSet(
  { rules, filters = [], minimumSeverity = "debug", debugOneIn = 1 }: RuleSet,
  { matches, lists, rateLimit }: { matches: Matches; lists: WatchList[]; rateLimit: number },
): Bytes {
  const set = new DataView(new ArrayBuffer(RULE_SET.size));
  const byType = (of: readonly RuleMatch[]) => perType(0n, (type) => bitsWhere(of, (match) => mayMatch(match, type)));
  const any = (of: readonly FilterMatch[]) => MEMBERS.map((member) => bitsWhere(of, (it) => it[member] === undefined));
  writeField(set, RULE_SET, "rules_by_type", byType(matches.rules));
  writeField(set, RULE_SET, "filters_by_type", byType(matches.filters));
  writeField(set, RULE_SET, "rules_any", any(matches.rules));
  writeField(set, RULE_SET, "filters_any", any(matches.filters));
  writeField(set, RULE_SET, "keeping_filters", bitsWhere(filters, ({ action }) => action === "keep"));
  writeField(set, RULE_SET, "keep_only", filters.some(({ action }) => action === "keep") ? 1 : 0);
  writeField(set, RULE_SET, "severity_max", SEVERITIES.indexOf(minimumSeverity));
  writeField(set, RULE_SET, "debug_one_in", debugOneIn);
  const interval = rateLimit > 0 ? BigInt(Math.max(1, Math.round(NS_PER_S / rateLimit))) : 0n;
  writeField(set, RULE_SET, "rate_interval_ns", interval);
  const asked = perType(0, (type) => {
    const own = [...matches.rules, ...matches.filters].filter((match) => mayMatch(match, type));
    const dimensions = MEMBERS.reduce(
      (bits, member, i) => own.some((match: FilterMatch) => match[member] !== undefined) ? bits | 1 << i : bits,
      0,
    );
    return ADDRESSED_TYPES.includes(type) ? dimensions | askedByLists(lists) : dimensions;
  });
  writeField(set, RULE_SET, "asked_by_type", Uint8Array.from(asked));
  const actions = new Uint8Array(RULES_MAX);
  rules.forEach(({ action }, i) => {
    actions[i] = "set" in action ? SEVERITIES.indexOf(action.set) : AT_LEAST | SEVERITIES.indexOf(action.atLeast);
  });
  writeField(set, RULE_SET, "actions", actions);
  const severities = new Uint8Array(RULES_MAX);
  lists.forEach(({ atLeast }, i) => severities[i] = SEVERITIES.indexOf(atLeast));
  writeField(set, RULE_SET, "watch_severities", severities);
  return new Uint8Array(set.buffer);
}

/** A value for each type that there may be; `none` for those that there are not yet. */
function perType<T>(none: T, valueOf: (type: EventType) => T): T[] {
  return Array.from(
    { length: EVENT_LIMIT.EVENT_TYPES_MAX },
    (_, type) => type < EVENT_TYPES.length ? valueOf(EVENT_TYPES[type]) : none,
  );
}

function askedByLists(lists: readonly WatchList[]): number {
  const ports = lists.some((list) => list.ports.length > 0) ? 1 << RULE_DIMENSION.RULE_PORT : 0;
  return lists.some((list) => list.nets.length > 0) ? ports | 1 << RULE_DIMENSION.RULE_NET : ports;
}

/** What is asked for, each once, with the bits of all that ask for it. */
class BitTable<T> {
  readonly #entries = new Map<string, { asked: T; bits: Bits }>();

  add(name: string, asked: T, kind: keyof Bits, index: number): void {
    const entry = this.#entries.get(name) ?? { asked, bits: noBits() };
    entry.bits[kind] |= 1n << BigInt(index);
    this.#entries.set(name, entry);
  }

  get(name: string): Bits | undefined {
    return this.#entries.get(name)?.bits;
  }

  get all(): { asked: T; bits: Bits }[] {
    return [...this.#entries.values()];
  }
}

function commWords(comm: string): [bigint, bigint] {
  const bytes = new TextEncoder().encode(comm);
  if (bytes.length > COMM_BYTES_MAX) {
    throw new RangeError(`Cannot use comm ${JSON.stringify(comm)}: it is longer than ${COMM_BYTES_MAX} bytes`);
  }
  const words = new DataView(new ArrayBuffer(16));
  new Uint8Array(words.buffer).set(bytes);
  return [words.getBigUint64(0, true), words.getBigUint64(8, true)];
}

/** The values that a match asks for, with their dimensions. */
function* askedValues(match: FilterMatch): Generator<[dimension: number, words: [bigint, bigint]]> {
  const { uid, comm, port, result, pid, cgroup } = match;
  if (uid !== undefined) yield [RULE_DIMENSION.RULE_UID, [BigInt(uid), 0n]];
  if (comm !== undefined) yield [RULE_DIMENSION.RULE_COMM, commWords(comm)];
  if (port !== undefined) yield [RULE_DIMENSION.RULE_PORT, [BigInt(port), 0n]];
  if (result !== undefined) yield [RULE_DIMENSION.RULE_RESULT, [BigInt.asUintN(64, BigInt(result)), 0n]];
  if (pid !== undefined) yield [RULE_DIMENSION.RULE_PID, [BigInt(pid), 0n]];
  if (cgroup !== undefined) yield [RULE_DIMENSION.RULE_CGROUP, [cgroupId(cgroup), 0n]];
}

function valueEntries({ rules, filters }: Matches, lists: readonly WatchList[]): MapEntry[] {
  const table = new BitTable<[number, [bigint, bigint]]>();
  const add = (dimension: number, words: [bigint, bigint], kind: keyof Bits, index: number) =>
    table.add(`${dimension} ${words}`, [dimension, words], kind, index);
  for (const [kind, matches] of [["rules", rules], ["filters", filters]] as const) {
    matches.forEach((match, i) => {
      for (const [dimension, words] of askedValues(match)) add(dimension, words, kind, i);
    });
  }
  lists.forEach(({ ports }, i) => {
    for (const port of ports) add(RULE_DIMENSION.RULE_PORT, [BigInt(port), 0n], "watches", i);
  });
  return table.all.map(({ asked: [dimension, words], bits }) => {
    const key = new DataView(new ArrayBuffer(RULE_KEY.size));
    writeField(key, RULE_KEY, "value", words);
    writeField(key, RULE_KEY, "dimension", dimension);
    return [new Uint8Array(key.buffer), bitsValue(bits)];
  });
}

/** A trie finds the longest prefix only, so each entry also has the bits of the prefixes of its own prefix. */
function pathEntries({ rules, filters }: Matches): MapEntry[] {
  const table = new BitTable<string>();
  for (const [kind, matches] of [["rules", rules], ["filters", filters]] as const) {
    matches.forEach(({ pathPrefix }, i) => {
      if (pathPrefix !== undefined) table.add(pathPrefix, pathPrefix, kind, i);
    });
  }
  return table.all.map(({ asked: prefix }) => {
    const path = new TextEncoder().encode(prefix);
    if (path.length > PREFIX_BYTES_MAX) {
      throw new RangeError(
        `Cannot use path prefix ${JSON.stringify(prefix)}: it is longer than ${PREFIX_BYTES_MAX} bytes`,
      );
    }
    const key = new DataView(new ArrayBuffer(RULE_PATH_KEY.size));
    writeField(key, RULE_PATH_KEY, "prefix_bits", (RULE_PATH_KEY.fields.pad0.size + path.length) * 8);
    new Uint8Array(key.buffer, RULE_PATH_KEY.fields.path.offset).set(path);
    const bits = noBits();
    for (const other of table.all) if (prefix.startsWith(other.asked)) addBits(bits, other.bits);
    return [new Uint8Array(key.buffer), bitsValue(bits)];
  });
}

/** A key for the first `prefix` bits of an address, whose length tells IPv4 from IPv6. */
function netName(address: Uint8Array, prefix: number): string {
  const bytes = address.slice(0, Math.ceil(prefix / 8));
  if (prefix % 8 !== 0) bytes[bytes.length - 1] &= 0xff00 >> prefix % 8;
  return `${address.length} ${prefix} ${bytes}`;
}

function netEntries(filters: readonly FilterMatch[], lists: readonly WatchList[]): MapEntry[] {
  const table = new BitTable<Cidr>();
  filters.forEach(({ net }, i) => {
    if (net !== undefined) table.add(netName(net.address, net.prefix), net, "filters", i);
  });
  lists.forEach(({ nets }, i) => {
    for (const net of nets) table.add(netName(net.address, net.prefix), net, "watches", i);
  });
  const lengths = [4, 16].map((bytes) => ({
    bytes,
    prefixes: [
      ...new Set(
        table.all.map(({ asked }) => asked).filter(({ address }) => address.length === bytes)
          .map(({ prefix }) => prefix),
      ),
    ],
  }));
  const prefixesOf = (address: Uint8Array) => lengths.find(({ bytes }) => bytes === address.length)!.prefixes;
  const entries = table.all.map(({ asked: { address, prefix } }): MapEntry => {
    const bits = noBits();
    for (const shorter of prefixesOf(address)) {
      if (shorter <= prefix) addBits(bits, table.get(netName(address, shorter)) ?? noBits());
    }
    return [netKey(address, prefix), bitsValue(bits)];
  });
  // A short IPv6 network such as ::/0 does not hold IPv4, whose addresses are within ::ffff:0:0/96 here.
  const all4 = new Uint8Array(4);
  if (table.all.length > 0 && table.get(netName(all4, 0)) === undefined) {
    entries.push([netKey(all4, 0), bitsValue(noBits())]);
  }
  return entries;
}

function netKey(address: Uint8Array, prefix: number): Bytes {
  const key = new DataView(new ArrayBuffer(RULE_NET_KEY.size));
  const isV4 = address.length === 4;
  writeField(key, RULE_NET_KEY, "prefix_bits", isV4 ? MAPPED_PREFIX + prefix : prefix);
  const bytes = new Uint8Array(key.buffer, RULE_NET_KEY.fields.address.offset);
  if (isV4) bytes.set([0xff, 0xff], 10);
  bytes.set(address, isV4 ? 12 : 0);
  return new Uint8Array(key.buffer);
}
