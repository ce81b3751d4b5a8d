/** The rules that judge events: severity rules, filters and watch lists. Types only. */
import type { Cidr } from "../net/address.ts";
import type { EventType, Severity } from "./event.ts";

/** The conditions of a rule. A rule applies to an event when all conditions that are there hold. */
export interface RuleMatch {
  event?: EventType;
  uid?: number;
  comm?: string;
  /** An absolute path. It matches every path that starts with it, itself included. */
  pathPrefix?: string;
  port?: number;
  /** 0, or -errno. */
  result?: number;
}

/** Raises or lowers severity. Of several rules that match, the one that stands first in the list applies. */
export interface SeverityRule {
  name: string;
  match: RuleMatch;
  /** `set` to this severity; or `atLeast`: raise to it, never lower. */
  action: { set: Severity } | { atLeast: Severity };
}

/** The conditions of a filter rule. */
export interface FilterMatch extends RuleMatch {
  pid?: number;
  /** Folder of a cgroup, as in `/sys/fs/cgroup/system.slice`: processes directly in it. */
  cgroup?: string;
  /** The address of a connect, or either end of a TCP connection, lies in it. */
  net?: Cidr;
}

/**
 * A rule that drops or keeps the events that it matches. The first rule that matches applies. An event that no rule
 * matches is dropped if there is any rule that keeps, else it is kept.
 */
export interface FilterRule {
  name: string;
  match: FilterMatch;
  action: "drop" | "keep";
}

/** Raises the severity of connects and TCP states that have one of these addresses or ports at either end. */
export interface WatchList {
  name: string;
  nets: Cidr[];
  ports: number[];
  /** The severity that an event gets at least. Where several lists match, the most severe counts. */
  atLeast: Severity;
}

/** All rules that judge events. While programs run, one set replaces another as a whole, in one instant. */
export interface RuleSet {
  rules: SeverityRule[];
  filters?: FilterRule[];
  watch?: WatchList[];
  /** Events that are less severe than this, once rules and watch lists have judged them, are dropped; default: none. */
  minimumSeverity?: Severity;
  /** Events a second a cgroup may send to normal and debug; 0 for no limit. */
  rateLimit?: number;
  /** At most one in so many debug events is sent; 1 for all of them. */
  debugOneIn?: number;
}
