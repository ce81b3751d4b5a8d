/**
 * Correlation rules as data: what events belong together, within what time, and how to say so. Files look like the
 * built-in ones in builtin_rules.ts. A rule of a file takes the place of the built-in one of its name.
 */
import {
  ADDRESSED_TYPES,
  EVENT_TYPES,
  type EventType,
  PATH_TYPES,
  SEVERITIES,
  type Severity,
} from "../../events/event.ts";
import { type Entry, hint, integer, listed, oneOf, startOf, text, YamlReader } from "../../runtime/yaml_reader.ts";
import {
  BURST_SUBJECTS,
  type CorrelationRule,
  type EventMatch,
  RULE_KINDS,
  type RuleKind,
  type RuleOfKind,
} from "./correlated_group.ts";

export const CORRELATION_RULES_MAX = 64;
const STEPS_MAX = 16;
const WINDOW_MS_MAX = 3_600_000;

const NAME_MAX_CHARS = 100;
const SENTENCE_MAX_CHARS = 500;
const TEXT_MAX_CHARS = 256;
const UID_MAX = 0xffff_fffe;
const ERRNO_MAX = 4_095;
const SIGNAL_MAX = 64;
/** So many events of one subject may have to wait for the next. */
const THRESHOLD_MAX = 10_000;

/** What a sentence may say. `seconds` is the time from the first member to the last. */
const COMMON_PLACEHOLDERS = ["host", "count", "seconds", "comm", "pid"] as const;
const PLACEHOLDERS = {
  process_tree: [...COMMON_PLACEHOLDERS, "filename", "processes", "connects", "opens", "peers", "paths", "exits"],
  connection_pair: [...COMMON_PLACEHOLDERS, "server_host", "src", "dst", "port", "protocol", "server_comm", "bytes"],
  burst: [...COMMON_PLACEHOLDERS, "subject", "kinds", "events"],
  pressure: [...COMMON_PLACEHOLDERS, "causes", "kinds", "kills", "victims"],
} as const satisfies Record<RuleKind, readonly string[]>;

const MATCH_KEYS = [
  "event",
  "path_prefix",
  "uid",
  "comm",
  "port",
  "result",
  "kinds",
  "signal",
  "severity",
] as const;

/** What only some events have: a condition on it could never hold for others. */
const EVENTS_WITH: Partial<Record<typeof MATCH_KEYS[number], readonly EventType[]>> = {
  path_prefix: PATH_TYPES,
  port: ADDRESSED_TYPES,
  kinds: ["security_violation", "resource_limit"],
  signal: ["process_exit"],
};

const KIND_KEYS = {
  process_tree: ["steps"],
  connection_pair: ["port"],
  burst: ["match", "per", "threshold"],
  pressure: ["cause", "effect", "threshold"],
} as const satisfies Record<RuleKind, readonly string[]>;

const COMMON_KEYS = ["name", "kind", "window_ms", "severity", "sentence"] as const;
const ALL_KEYS = [...COMMON_KEYS, "steps", "port", "match", "per", "threshold", "cause", "effect"] as const;
type Entries = Partial<Record<typeof ALL_KEYS[number], Entry>>;

/**
 * Reads a file of rules, YAML or JSON.
 *
 * @param fileName as the user named it, for messages
 * @throws {SyntaxError} one line: `rules.yaml:3:14: unknown key "wndow_ms", did you mean window_ms?`, line and column
 * counted from 1
 */
export function parseCorrelationRules(source: string, fileName: string): CorrelationRule[] {
  const reader = new YamlReader(source, fileName);
  const { rules } = reader.entries(reader.root(), "a map with the key rules", ["rules"]);
  if (rules === undefined) throw reader.error(0, "rules is missing");
  const names = new Set<string>();
  return reader.list("rules", rules, { itemsMax: CORRELATION_RULES_MAX }).map((entry) => {
    const rule = new RuleReader(reader, entry).read();
    if (names.has(rule.name)) throw reader.error(entry.keyOffset, `there are two rules named "${rule.name}"`);
    names.add(rule.name);
    return rule;
  });
}

/** Those of a file, then the built-in ones whose names it does not have. */
export function withBuiltin(own: readonly CorrelationRule[], builtin: readonly CorrelationRule[]): CorrelationRule[] {
  const names = new Set(own.map(({ name }) => name));
  return [...own, ...builtin.filter(({ name }) => !names.has(name))];
}

export function rulesOfKind<Kind extends RuleKind>(
  rules: readonly CorrelationRule[],
  kind: Kind,
): RuleOfKind<Kind>[] {
  return rules.filter((rule): rule is RuleOfKind<Kind> => rule.kind === kind);
}

class RuleReader {
  readonly #reader: YamlReader;
  readonly #at: number;
  readonly #entries: Entries;

  constructor(reader: YamlReader, entry: Entry) {
    this.#reader = reader;
    this.#at = startOf(entry);
    this.#entries = reader.entries(entry, "a map", ALL_KEYS);
  }

  read(): CorrelationRule {
    const kind = this.#reader.scalar("kind", this.#required("kind"), oneOf(RULE_KINDS));
    const known: readonly string[] = [...COMMON_KEYS, ...KIND_KEYS[kind]];
    for (const [key, entry] of Object.entries(this.#entries)) {
      if (!known.includes(key)) throw this.#reader.error(entry.keyOffset, `a rule of kind ${kind} has no ${key}`);
    }
    const base = {
      name: this.#reader.scalar("name", this.#required("name"), text(NAME_MAX_CHARS)),
      windowMs: this.#reader.scalar("window_ms", this.#required("window_ms"), integer(1, WINDOW_MS_MAX)),
      severity: this.#severity(this.#required("severity")),
      sentence: this.#sentence(kind),
    };
    switch (kind) {
      case "process_tree":
        return { ...base, kind, steps: this.#steps() };
      case "connection_pair":
        return { ...base, kind, ...this.#entries.port && { port: this.#port(this.#entries.port) } };
      case "burst": {
        const per = this.#reader.scalar("per", this.#required("per"), oneOf(BURST_SUBJECTS));
        return { ...base, kind, match: this.#match("match"), per, threshold: this.#threshold() };
      }
      case "pressure": {
        const [cause, effect] = [this.#match("cause"), this.#match("effect")];
        return { ...base, kind, cause, effect, threshold: this.#threshold() };
      }
      default:
        return kind satisfies never;
    }
  }

  #required(key: typeof ALL_KEYS[number]): Entry {
    const entry = this.#entries[key];
    if (entry === undefined) throw this.#reader.error(this.#at, `the rule has no ${key}`);
    return entry;
  }

  #severity(entry: Entry): Severity {
    return this.#reader.scalar("severity", entry, oneOf(SEVERITIES));
  }

  #port(entry: Entry): number {
    return this.#reader.scalar("port", entry, integer(1, 65_535));
  }

  #threshold(): number {
    return this.#reader.scalar("threshold", this.#required("threshold"), integer(1, THRESHOLD_MAX));
  }

  #sentence(kind: RuleKind): string {
    const entry = this.#required("sentence");
    const sentence = this.#reader.scalar("sentence", entry, text(SENTENCE_MAX_CHARS));
    const names: readonly string[] = PLACEHOLDERS[kind];
    for (const [, name] of sentence.matchAll(/\{([^{}]*)\}/g)) {
      if (names.includes(name)) continue;
      const at = startOf(entry);
      throw this.#reader.error(at, `sentence has an unknown placeholder {${name}}${hint(name, names)}`);
    }
    return sentence;
  }

  #steps(): EventMatch[] {
    return this.#reader.list("steps", this.#required("steps"), { itemsMax: STEPS_MAX })
      .map((entry) => this.#conditions(entry));
  }

  #match(key: "match" | "cause" | "effect"): EventMatch {
    return this.#conditions(this.#required(key));
  }

  #conditions(entry: Entry): EventMatch {
    const reader = this.#reader;
    const entries = reader.entries(entry, "a map of conditions", MATCH_KEYS);
    const match: EventMatch = {};
    if (entries.event) match.event = reader.scalar("event", entries.event, oneOf(EVENT_TYPES));
    if (entries.path_prefix) {
      match.pathPrefix = reader.scalar("path_prefix", entries.path_prefix, {
        expected: "an absolute path",
        take: (value) => text(TEXT_MAX_CHARS).take(value)?.startsWith("/") ? String(value) : null,
      });
    }
    if (entries.uid) match.uid = reader.scalar("uid", entries.uid, integer(0, UID_MAX));
    if (entries.comm) match.comm = reader.scalar("comm", entries.comm, text(TEXT_MAX_CHARS));
    if (entries.port) match.port = this.#port(entries.port);
    if (entries.result) match.result = reader.scalar("result", entries.result, integer(-ERRNO_MAX, 0));
    if (entries.signal) match.signal = reader.scalar("signal", entries.signal, integer(1, SIGNAL_MAX));
    if (entries.severity) match.severity = this.#severity(entries.severity);
    if (entries.kinds) {
      match.kinds = reader.list("kinds", entries.kinds, { itemsMax: STEPS_MAX })
        .map((item) => reader.scalar("kinds", item, text(TEXT_MAX_CHARS)));
    }
    if (Object.keys(match).length === 0) {
      throw reader.error(startOf(entry), `expected at least one of ${listed(MATCH_KEYS)}`);
    }
    for (const [key, events] of Object.entries(EVENTS_WITH)) {
      const asked = entries[key as typeof MATCH_KEYS[number]];
      if (asked === undefined || match.event !== undefined && events.includes(match.event)) continue;
      throw reader.error(asked.keyOffset, `${key} is for ${listed(events)}; name one of them as event`);
    }
    return match;
  }
}
