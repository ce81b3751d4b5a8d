/**
 * Severity rules in the form in which a program can judge them: a rule is a bit, and each value that a rule asks for
 * maps to the bits of those that ask for it. See apply_rules() in bpf/router.bpf.c.
 */
import { EVENT_TYPES, SEVERITIES, type SeverityRule } from "../router/protocol.ts";
import { type FieldName, writeField } from "./layout.ts";
import { RULE_DIMENSION, RULE_KEY, RULE_PATH_KEY, RULE_SET } from "./layouts.gen.ts";

export const RULES_MAX = RULE_SET.fields.actions.size;
const PREFIX_BYTES_MAX = RULE_PATH_KEY.fields.path.size;
const AT_LEAST = 128;

export interface MapEntry {
  key: Uint8Array<ArrayBuffer>;
  value: Uint8Array<ArrayBuffer>;
}

/** Everything that belongs to one side. */
export interface CompiledRules {
  set: Uint8Array<ArrayBuffer>;
  values: MapEntry[];
  paths: MapEntry[];
}

function bitsValue(bits: bigint): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.of(bits).buffer);
}

/**
 * @param side 0 or 1
 * @throws {RangeError} for too many rules, a path prefix or a comm that is too long
 */
export function compileRules(rules: readonly SeverityRule[], side: number, generation: number): CompiledRules {
  if (rules.length > RULES_MAX) {
    throw new RangeError(`Cannot use ${rules.length} severity rules: at most ${RULES_MAX} are possible`);
  }
  const set = new DataView(new ArrayBuffer(RULE_SET.size));
  const bitsOf = (asks: (rule: SeverityRule) => boolean) =>
    rules.reduce((bits, rule, i) => asks(rule) ? bits | 1n << BigInt(i) : bits, 0n);
  const any = (field: FieldName<typeof RULE_SET>, member: keyof SeverityRule["match"]) =>
    writeField(set, RULE_SET, field as "any_uid", bitsOf(({ match }) => match[member] === undefined));
  any("any_uid", "uid");
  any("any_comm", "comm");
  any("any_path", "pathPrefix");
  any("any_port", "port");
  any("any_result", "result");
  const types = EVENT_TYPES.map((type) => bitsOf(({ match }) => match.event === undefined || match.event === type));
  writeField(set, RULE_SET, "by_type", [...types, 0n]);
  const actions = new Uint8Array(RULES_MAX);
  rules.forEach(({ action }, i) => {
    actions[i] = "set" in action ? SEVERITIES.indexOf(action.set) : AT_LEAST | SEVERITIES.indexOf(action.atLeast);
  });
  writeField(set, RULE_SET, "actions", actions);
  writeField(set, RULE_SET, "generation", generation);
  return { set: new Uint8Array(set.buffer), values: valueEntries(rules, side), paths: pathEntries(rules, side) };
}

function valueEntries(rules: readonly SeverityRule[], side: number): MapEntry[] {
  const bitsByKey = new Map<string, bigint>();
  const keys = new Map<string, Uint8Array<ArrayBuffer>>();
  const add = (rule: number, dimension: number, value: number, comm = "") => {
    const key = new DataView(new ArrayBuffer(RULE_KEY.size));
    writeField(key, RULE_KEY, "side", side);
    writeField(key, RULE_KEY, "dimension", dimension);
    // A uid above 2^31 is the same 32 bits.
    writeField(key, RULE_KEY, "value", value | 0);
    writeField(key, RULE_KEY, "comm", comm);
    const name = `${dimension} ${value} ${comm}`;
    keys.set(name, new Uint8Array(key.buffer));
    bitsByKey.set(name, (bitsByKey.get(name) ?? 0n) | 1n << BigInt(rule));
  };
  rules.forEach(({ match }, i) => {
    if (match.uid !== undefined) add(i, RULE_DIMENSION.RULE_UID, match.uid);
    if (match.port !== undefined) add(i, RULE_DIMENSION.RULE_PORT, match.port);
    if (match.result !== undefined) add(i, RULE_DIMENSION.RULE_RESULT, match.result);
    if (match.comm !== undefined) add(i, RULE_DIMENSION.RULE_COMM, 0, match.comm);
  });
  return [...bitsByKey].map(([name, bits]) => ({ key: keys.get(name)!, value: bitsValue(bits) }));
}

/** The trie finds the longest prefix only, so each entry also holds the rules of its own prefixes. */
function pathEntries(rules: readonly SeverityRule[], side: number): MapEntry[] {
  const prefixes = new Set(rules.map(({ match }) => match.pathPrefix).filter((prefix) => prefix !== undefined));
  return [...prefixes].map((prefix) => {
    const path = new TextEncoder().encode(prefix);
    if (path.length > PREFIX_BYTES_MAX) {
      throw new RangeError(
        `Cannot use path prefix ${JSON.stringify(prefix)}: it is longer than ${PREFIX_BYTES_MAX} bytes`,
      );
    }
    const key = new DataView(new ArrayBuffer(RULE_PATH_KEY.size));
    const sideBytes = RULE_PATH_KEY.fields.side.size;
    writeField(key, RULE_PATH_KEY, "prefix_bits", (sideBytes + path.length) * 8);
    writeField(key, RULE_PATH_KEY, "side", side);
    new Uint8Array(key.buffer, RULE_PATH_KEY.fields.path.offset).set(path);
    const bits = rules.reduce(
      (all, { match }, i) =>
        match.pathPrefix !== undefined && prefix.startsWith(match.pathPrefix) ? all | 1n << BigInt(i) : all,
      0n,
    );
    return { key: new Uint8Array(key.buffer), value: bitsValue(bits) };
  });
}
