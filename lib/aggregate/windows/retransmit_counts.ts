/**
 * What a window counts of the TCP segments that sockets sent again, each count described once. A window's fields, the
 * totals of a run, JSON lines, metrics and the fleet's messages are made from this list.
 */

/** What bpf/retransmit.bpf.c sums up, by side and `enum retransmit_place`: each in an array, as in `seen_segments`. */
export const RETRANSMIT_SUMS = ["seen", "overflow"] as const;
export type RetransmitSums = Record<typeof RETRANSMIT_SUMS[number], number>;

/** The kernel's sums of one window: over sockets of the watched network namespace, and of others. */
export interface RetransmitCounters {
  home: RetransmitSums;
  other: RetransmitSums;
}

interface RetransmitCount {
  json: string;
  /** Counts of one family are told apart by the label `class`, which is their name. */
  metric: { name: string; help: string } | null;
  /** @param met segments of the connections that have a flow in the window */
  from(counters: RetransmitCounters, met: Record<keyof RetransmitCounters, number>, missedRuns: number): number;
}

const BY_CLASS = {
  name: "ebpfmon_tcp_retransmits_total",
  help: "TCP segments sent again: attributed, unattributed and overflow add up to this network namespace's.",
};
const MISSED_RUNS = {
  name: "ebpfmon_tcp_retransmit_missed_runs_total",
  help: "Times that a retransmit was not counted, because one was being counted on that CPU.",
};

/** `segments = attributed + unattributed + overflow`; `forwarded` and `elsewhere` are of other network namespaces. */
const COUNTS = {
  /** Of all sockets in the network namespace whose interfaces are watched. */
  segments: { json: "tcp_retransmits", metric: null, from: ({ home }) => home.seen },
  /** Of flows of the window. */
  attributed: { json: "attributed_retransmits", metric: BY_CLASS, from: (_, met) => met.home },
  /** Of connections without a flow that goes out: over an interface that is not watched, or their flow found no room. */
  unattributed: {
    json: "unattributed_retransmits",
    metric: BY_CLASS,
    from: ({ home }, met) => home.seen - home.overflow - met.home,
  },
  /** Of connections that found no room in the map of those that retransmit. */
  overflow: { json: "overflow_retransmits", metric: BY_CLASS, from: ({ home }) => home.overflow },
  /** Of sockets in other namespaces, as of containers, in flows of the window. */
  forwarded: { json: "forwarded_retransmits", metric: BY_CLASS, from: (_, met) => met.other },
  /** Of sockets in other namespaces, in no flow of the window. */
  elsewhere: { json: "elsewhere_retransmits", metric: BY_CLASS, from: ({ other }, met) => other.seen - met.other },
  /** Runs of the programs that the kernel left out; a segment or a few each. */
  missedRuns: { json: "retransmit_missed_runs", metric: MISSED_RUNS, from: (_, __, missedRuns) => missedRuns },
} as const satisfies Record<string, RetransmitCount>;

export type RetransmitName = keyof typeof COUNTS;
export const RETRANSMIT_COUNTS = Object.entries(COUNTS) as [RetransmitName, RetransmitCount][];
export type WindowRetransmits = Record<RetransmitName, number>;

/** A value for each count. */
export function retransmitRecord<Value>(
  valueOf: (name: RetransmitName, count: RetransmitCount) => Value,
): Record<RetransmitName, Value> {
  return Object.fromEntries(RETRANSMIT_COUNTS.map(([name, count]) => [name, valueOf(name, count)])) as Record<
    RetransmitName,
    Value
  >;
}
