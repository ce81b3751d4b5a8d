/** What events are judged by: severity rules, filters and watch lists. Types only. */
import type { Cidr } from "../net/address.ts";
import type { EventType, Severity } from "./event.ts";

/** What must hold for a rule to apply: every member that is there. */
export interface RuleMatch {
  event?: EventType;
  uid?: number;
  comm?: string;
  /** Absolute; matches the path itself and everything that starts with it. */
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

/** What must hold for a filter to apply. */
export interface FilterMatch extends RuleMatch {
  pid?: number;
  /** Folder of a cgroup, as in `/sys/fs/cgroup/system.slice`: processes directly in it. */
  cgroup?: string;
  /** The address of a connect, or either end of a TCP connection, lies in it. */
  net?: Cidr;
}

/**
 * Says which events are wanted. Of several filters that match, the one that stands first applies; what none matches is
 * dropped where there is a filter that keeps.
 */
export interface EventFilter {
  name: string;
  match: FilterMatch;
  action: "drop" | "keep";
}

/** Raises connects and TCP states that touch an address or a port, at either end of a TCP connection. */
export interface WatchList {
  name: string;
  nets: Cidr[];
  ports: number[];
  /** Never lowers; of several lists the most severe counts. */
  atLeast: Severity;
}

/** Everything by which events are judged: it can change while programs run, all of it in one instant. */
export interface RuleSet {
  rules: SeverityRule[];
  filters?: EventFilter[];
  watch?: WatchList[];
  /** What rules and watch lists leave less severe than this is dropped; nothing where there is none. */
  minimumSeverity?: Severity;
  /** Events a second a cgroup may send to normal and debug; 0 for no limit. */
  rateLimit?: number;
  /** Of debug events at most one in so many is sent; 1 for all. */
  debugOneIn?: number;
}
