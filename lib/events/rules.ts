/**
 * The rules that judge events: the built-in ones, and those of a `--config` file. Each section may be left out.
 *
 *     rules:
 *       - name: shadow is read
 *         match: { event: file_open, path_prefix: /etc/shadow, result: 0 }
 *         severity: critical
 *       - name: whatever sshd does
 *         match: { comm: sshd }
 *         at_least: warning
 *     filters:
 *       - name: but for its children
 *         match: { cgroup: /sys/fs/cgroup/build, path_prefix: /etc }
 *         action: keep
 *       - name: no builds
 *         match: { cgroup: /sys/fs/cgroup/build }
 *         action: drop
 *     watch:
 *       - name: known bad
 *         nets: [203.0.113.0/24, "2001:db8::7"]
 *         ports: [4444]
 *         at_least: critical
 *     minimum_severity: info
 *     rate_limit: 10000
 *     sampling: { debug: 20 }
 *
 * All conditions of `match` must hold. `severity` sets the severity; `at_least` raises it and never lowers it. The
 * first rule that matches applies, and rules of a file come before the built-in ones. The first filter that matches
 * applies, too; where one of the filters keeps, events that no filter matches are dropped. A watch list raises connects
 * and TCP states that have one of its networks or ports. Events that are less severe than `minimum_severity`, once
 * rules and watch lists have judged them, are dropped. `rate_limit` is the number of events a second that a cgroup may
 * send besides critical ones, 0 for any number. At most one in `sampling.debug` debug events is sent.
 */

import { type Cidr, parseAddress, parseCidr } from "../net/address.ts";
import { errnoName } from "../runtime/errors.ts";
import {
  type Entry,
  type Expectation,
  integer,
  listed,
  oneOf,
  startOf,
  text,
  YamlReader,
} from "../runtime/yaml_reader.ts";
import { ADDRESSED_TYPES, EVENT_TYPES, type EventType, PATH_TYPES, SEVERITIES } from "./event.ts";
import type { FilterMatch, FilterRule, RuleSet, SeverityRule, WatchList } from "./rule_set.ts";

/** All rules together, all filters, all watch lists: each is a bit in bpf/router.h. */
export const RULES_MAX = 64;
/** Of all watch lists together; RULE_NETS_MAX and RULE_VALUES_MAX of bpf/router.h leave room for the filters. */
export const WATCHED_NETS_MAX = 65_000;
export const WATCHED_PORTS_MAX = 3_000;
/** The kernel keeps 16 bytes of a task's name, the last of which is NUL. */
export const COMM_MAX_BYTES = 15;
/** RULE_PREFIX_MAX_BYTES of bpf/router.h. */
export const PATH_PREFIX_MAX_BYTES = 128;

const NAME_MAX_CHARS = 100;
const RATE_LIMIT_MAX = 1_000_000_000;
const SAMPLING_MAX = 1_000_000;
const PID_MAX = 4_194_304; // PID_MAX_LIMIT of the kernel
const CGROUP_MAX_BYTES = 4_095;
const UID_MAX = 0xffff_fffe; // 0xffffffff is "no user" to the kernel
const ERRNO_MAX = 4095;

/** Numbers of errors by their names, as in `EPERM`. */
const ERRNO_BY_NAME = new Map(
  Array.from({ length: ERRNO_MAX }, (_, i): [string, number] => [errnoName(i + 1), i + 1])
    .filter(([name]) => name.startsWith("E")),
);

const SECTIONS = ["rules", "filters", "watch", "minimum_severity", "rate_limit", "sampling"] as const;
type Section = typeof SECTIONS[number];
const RULE_KEYS = ["event", "path_prefix", "uid", "comm", "port", "result"] as const;
const FILTER_KEYS = [...RULE_KEYS, "pid", "cgroup", "net"] as const;

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
 * Rules for the ssh folders of the users in the text of /etc/passwd: a prefix cannot say "of whichever user". Only
 * users who can log in have keys worth a rule; root's is built in.
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
 * Reads a configuration file.
 *
 * @param fileName as the user named it, for messages
 * @throws {SyntaxError} one line: `rules.yaml:3:14: unknown severity "warnin", did you mean warning?`, line and column
 * counted from 1
 */
export function parseRuleSet(text: string, format: "json" | "yaml", fileName: string): RuleSet {
  return new RulesReader(new YamlReader(text, fileName, { format })).read();
}

function openRule(name: string, pathPrefix: string): SeverityRule {
  return { name, match: { event: "file_open", pathPrefix }, action: { atLeast: "warning" } };
}

class RulesReader {
  readonly #reader: YamlReader;

  constructor(reader: YamlReader) {
    this.#reader = reader;
  }

  read(): RuleSet {
    const reader = this.#reader;
    const root = reader.root();
    const found = reader.entries(root, `a map with the key ${listed(SECTIONS)}`, SECTIONS);
    const { rules, filters, watch, minimum_severity: minimumSeverity, rate_limit: rateLimit, sampling } = found;
    if (rules === undefined && SECTIONS.every((section) => found[section] === undefined)) {
      throw reader.error(startOf(root), `${listed(SECTIONS)} is missing`);
    }
    const set: RuleSet = { rules: rules ? this.#list("rules", rules).map((entry) => this.#rule(entry)) : [] };
    if (filters) set.filters = this.#list("filters", filters).map((entry) => this.#filter(entry));
    if (watch) set.watch = this.#watchLists(watch);
    if (minimumSeverity) {
      set.minimumSeverity = reader.scalar("minimum_severity", minimumSeverity, oneOf(SEVERITIES));
    }
    if (rateLimit) set.rateLimit = reader.scalar("rate_limit", rateLimit, integer(0, RATE_LIMIT_MAX));
    if (sampling) {
      const { debug } = reader.entries(sampling, "a map with the key debug", ["debug"]);
      if (debug === undefined) throw reader.error(sampling.keyOffset, "sampling has no debug");
      set.debugOneIn = reader.scalar("debug", debug, integer(1, SAMPLING_MAX));
    }
    return set;
  }

  /** The items of a section, of which there are at most as many as the kernel has bits for. */
  #list(section: Section, entry: Entry): Entry[] {
    const itemsName = section === "watch" ? "lists" : section;
    return this.#reader.list(section, entry, { itemsMax: RULES_MAX, itemsName, mayBeEmpty: true });
  }

  #rule(rule: Entry): SeverityRule {
    const keys = ["name", "match", "severity", "at_least"] as const;
    const { name, match, severity, at_least: atLeast } = this.#reader.entries(rule, "a map", keys);
    const at = startOf(rule);
    if (name === undefined) throw this.#reader.error(at, "the rule has no name");
    if (match === undefined) throw this.#reader.error(at, "the rule has no match");
    if (severity !== undefined && atLeast !== undefined) {
      throw this.#reader.error(
        Math.max(severity.keyOffset, atLeast.keyOffset),
        "a rule has severity or at_least, not both",
      );
    }
    const judged = severity ?? atLeast;
    if (judged === undefined) throw this.#reader.error(at, "the rule has neither severity nor at_least");
    const level = this.#reader.scalar(severity ? "severity" : "at_least", judged, oneOf(SEVERITIES));
    return {
      name: this.#reader.scalar("name", name, NAME),
      match: this.#match(match, RULE_KEYS),
      action: severity ? { set: level } : { atLeast: level },
    };
  }

  #filter(filter: Entry): FilterRule {
    const { name, match, action } = this.#reader.entries(filter, "a map", ["name", "match", "action"]);
    const at = startOf(filter);
    if (name === undefined) throw this.#reader.error(at, "the filter has no name");
    if (match === undefined) throw this.#reader.error(at, "the filter has no match");
    if (action === undefined) throw this.#reader.error(at, "the filter has no action");
    return {
      name: this.#reader.scalar("name", name, NAME),
      match: this.#match(match, FILTER_KEYS),
      action: this.#reader.scalar("action", action, oneOf(["drop", "keep"])),
    };
  }

  #watchLists(section: Entry): WatchList[] {
    const lists = this.#list("watch", section).map((entry) => this.#watchList(entry));
    const sum = (member: "nets" | "ports") => lists.reduce((count, list) => count + list[member].length, 0);
    for (const [member, max] of [["nets", WATCHED_NETS_MAX], ["ports", WATCHED_PORTS_MAX]] as const) {
      if (sum(member) > max) {
        throw this.#reader.error(
          section.keyOffset,
          `watch takes at most ${max} ${member} in all lists, got ${sum(member)}`,
        );
      }
    }
    return lists;
  }

  #watchList(list: Entry): WatchList {
    const keys = ["name", "nets", "ports", "at_least"] as const;
    const { name, nets, ports, at_least: atLeast } = this.#reader.entries(list, "a map", keys);
    const at = startOf(list);
    if (name === undefined) throw this.#reader.error(at, "the watch list has no name");
    if (atLeast === undefined) throw this.#reader.error(at, "the watch list has no at_least");
    if (nets === undefined && ports === undefined) {
      throw this.#reader.error(at, "the watch list has neither nets nor ports");
    }
    return {
      name: this.#reader.scalar("name", name, NAME),
      nets: this.#values("nets", nets, NET),
      ports: this.#values("ports", ports, PORT),
      atLeast: this.#reader.scalar("at_least", atLeast, oneOf(SEVERITIES)),
    };
  }

  #values<T>(key: string, entry: Entry | undefined, expectation: Expectation<T>): T[] {
    if (entry === undefined) return [];
    return this.#reader.list(key, entry, { mayBeEmpty: true }).map((item) =>
      this.#reader.scalar(key, item, expectation)
    );
  }

  /** @param keys what may be asked for */
  #match(conditions: Entry, keys: readonly (typeof FILTER_KEYS[number])[]): FilterMatch {
    const entries = this.#reader.entries(conditions, "a map of conditions", keys);
    const { event, path_prefix: pathPrefix, uid, comm, port, result, pid, cgroup, net } = entries;
    const match: FilterMatch = {};
    if (event) match.event = this.#reader.scalar("event", event, oneOf(EVENT_TYPES));
    if (pathPrefix) {
      match.pathPrefix = this.#reader.scalar("path_prefix", pathPrefix, {
        expected: `an absolute path of at most ${PATH_PREFIX_MAX_BYTES} bytes`,
        take: (value) => isText(value, PATH_PREFIX_MAX_BYTES) && value.startsWith("/") ? value : null,
      });
    }
    if (uid) match.uid = this.#reader.scalar("uid", uid, integer(0, UID_MAX));
    if (comm) {
      match.comm = this.#reader.scalar("comm", comm, {
        expected: `a command name of 1 to ${COMM_MAX_BYTES} bytes, which is what the kernel keeps of one`,
        take: (value) => isText(value, COMM_MAX_BYTES) ? value : null,
      });
    }
    if (port) match.port = this.#reader.scalar("port", port, PORT);
    if (result) match.result = this.#reader.scalar("result", result, RESULT);
    if (pid) match.pid = this.#reader.scalar("pid", pid, integer(1, PID_MAX));
    if (cgroup) {
      match.cgroup = this.#reader.scalar("cgroup", cgroup, {
        expected: "the folder of a cgroup, an absolute path",
        take: (value) => isText(value, CGROUP_MAX_BYTES) && value.startsWith("/") ? value : null,
      });
    }
    if (net) match.net = this.#reader.scalar("net", net, NET);

    if (Object.keys(match).length === 0) {
      throw this.#reader.error(
        startOf(conditions),
        `match takes at least one of ${listed(keys)}`,
      );
    }
    if (pathPrefix && port) throw this.#reader.error(port.keyOffset, "no event has both a path and a port");
    if (pathPrefix && net) throw this.#reader.error(net.keyOffset, "no event has both a path and an address");
    if (pathPrefix) this.#requireEvent(match.event, "path_prefix", PATH_TYPES, pathPrefix);
    if (port) this.#requireEvent(match.event, "port", ADDRESSED_TYPES, port);
    if (net) this.#requireEvent(match.event, "net", ADDRESSED_TYPES, net);
    return match;
  }

  /** Refuses a rule that asks for what its type of event does not have: it could never apply. */
  #requireEvent(event: EventType | undefined, key: string, events: readonly EventType[], entry: Entry): void {
    if (event === undefined || events.includes(event)) return;
    throw this.#reader.error(entry.keyOffset, `${key} is for ${listed(events)}; ${event} has none`);
  }
}

const NAME = text(NAME_MAX_CHARS);
const PORT = integer(1, 65535);

const NET: Expectation<Cidr> = {
  expected: "an address, or a network such as 10.0.0.0/8",
  take(value) {
    if (typeof value !== "string") return null;
    const address = parseAddress(value);
    return address === null ? parseCidr(value) : { address, prefix: address.length * 8 };
  },
};

const RESULT: Expectation<number> = {
  expected: `0, -${ERRNO_MAX} to -1, or the name of an error such as EPERM`,
  names: [...ERRNO_BY_NAME.keys()],
  take(value) {
    if (typeof value === "string") return ERRNO_BY_NAME.has(value) ? -ERRNO_BY_NAME.get(value)! : null;
    return integer(-ERRNO_MAX, 0).take(value);
  },
};

/** Whether a value is text without a NUL that has 1 to `maxBytes` bytes in UTF-8. */
export function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0") && byteLength(value) <= maxBytes;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
