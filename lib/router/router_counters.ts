/** The counters that the router's programs keep in the kernel, and how userspace reads them. */
import { EVENT_TYPES, RINGS } from "../events/event.ts";
import type { BpfMap } from "../ffi/bpf_map.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import { readField } from "../wire/layout.ts";
import { HELD_KEY, HELD_REASON, ROUTER_COUNTERS, ROUTER_PROGRAM } from "../wire/layouts.gen.ts";

/**
 * Sums over programs and CPUs since the start. Arrays are in the order of RINGS, `droppedByType` in that of
 * EVENT_TYPES.
 */
export interface RouterCounters {
  seen: bigint;
  filtered: bigint;
  rateLimited: bigint;
  sampledOut: bigint;
  repeatsHeld: bigint;
  flushed: bigint;
  attempts: bigint[];
  submitted: bigint[];
  dropped: bigint[];
  failures: bigint[];
  spilled: bigint[];
  droppedByType: bigint[];
}

/** Events since the start that were not sent, by process and reason. */
export interface HeldByPid {
  rateLimited: Map<number, bigint>;
  dropped: Map<number, bigint>;
}

/**
 * Adds the counters of all programs and CPUs up. While programs run, each number is exact, but one may be a few events
 * ahead of another.
 *
 * @param counters the mapped map `counters`: a `struct router_counters` for each program on each CPU
 */
export function readRouterCounters(counters: ArrayBuffer, cpus: number): RouterCounters {
  const view = new DataView(counters);
  const blocks = ROUTER_PROGRAM.ROUTER_PROGRAMS * cpus;
  const sum = (field: "seen" | "filtered" | "rate_limited" | "sampled_out" | "repeats_held" | "flushed") => {
    let total = 0n;
    for (let i = 0; i < blocks; i++) total += readField(view, ROUTER_COUNTERS, field, i * ROUTER_COUNTERS.size);
    return total;
  };
  const sums = (
    field: "attempts" | "submitted" | "dropped" | "failures" | "spilled" | "dropped_by_type",
    length: number,
  ) => {
    const totals = new Array<bigint>(length).fill(0n);
    for (let i = 0; i < blocks; i++) {
      const values = readField(view, ROUTER_COUNTERS, field, i * ROUTER_COUNTERS.size);
      for (let k = 0; k < length; k++) totals[k] += values[k];
    }
    return totals;
  };
  return {
    seen: sum("seen"),
    filtered: sum("filtered"),
    rateLimited: sum("rate_limited"),
    sampledOut: sum("sampled_out"),
    repeatsHeld: sum("repeats_held"),
    flushed: sum("flushed"),
    attempts: sums("attempts", RINGS.length),
    submitted: sums("submitted", RINGS.length),
    dropped: sums("dropped", RINGS.length),
    failures: sums("failures", RINGS.length),
    spilled: sums("spilled", RINGS.length),
    droppedByType: sums("dropped_by_type", EVENT_TYPES.length),
  };
}

/**
 * Reads the map `held`: events that were rate limited or dropped since the start, by process. Process 0 stands for the
 * processes for which the kernel's table had no room.
 */
export function readHeldByPid(libbpf: Libbpf, map: BpfMap): HeldByPid {
  const rateLimited = new Map<number, bigint>();
  const dropped = new Map<number, bigint>();
  const nextKey = libbpf.symbols.bpf_map_get_next_key;
  const value = new Uint8Array(map.lookupBytes);
  const next = new Uint8Array(HELD_KEY.size);
  const view = new DataView(next.buffer);
  let key: Uint8Array<ArrayBuffer> | null = null;
  while (nextKey(map.fd, key, next) === 0) {
    if (map.lookup(next, value)) {
      const counts = readField(view, HELD_KEY, "reason") === HELD_REASON.HELD_DROPPED ? dropped : rateLimited;
      counts.set(readField(view, HELD_KEY, "pid"), new DataView(value.buffer).getBigUint64(0, true));
    }
    key = next.slice();
  }
  return { rateLimited, dropped };
}
