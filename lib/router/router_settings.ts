/** The constants that the router's programs get before they are loaded: the `const volatile` settings of bpf/. */
import { SHARED_RINGS } from "../events/event.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { ROUTER_PROGRAM } from "../wire/layouts.gen.ts";
import type { Machine } from "../wire/syscalls.ts";
import type { RouterOptions } from "./router_messages.ts";
import type { Configure } from "./router_programs.ts";
import { syscallRules } from "./syscall_rules.ts";

/** The part of the router's options that its programs and rings depend on. */
export type RouterProbeOptions = Pick<
  RouterOptions,
  "sources" | "ringBytes" | "rateLimit" | "repeatSuppression" | "isolate" | "only" | keyof RuleSet
>;

/**
 * Translates options into the settings that bpf/router_record.h declares, and sizes the map of counters.
 *
 * @param cpus possible CPUs
 */
export function routerSettings(options: RouterProbeOptions, cpus: number): Configure {
  const { only, sources, isolate } = options;
  const events = only.events.length === 0 ? sources : sources.filter((it) => only.events.includes(it));
  const rings = only.rings.length === 0 ? SHARED_RINGS : only.rings;
  const ringBits = rings.map((ring) => 1 << SHARED_RINGS.indexOf(ring)).reduce((bits, bit) => bits | bit, 0);
  const comm = new DataView(new ArrayBuffer(16));
  new Uint8Array(comm.buffer).set(new TextEncoder().encode(only.comm ?? "").subarray(0, 15));
  const settings = {
    cpus,
    syscall_rules: syscallRules(Deno.build.arch as Machine, events),
    watch_limits: events.includes("resource_limit"),
    watch_execs: events.includes("process_exec"),
    hold_repeats: options.repeatSuppression,
    hash_seed: crypto.getRandomValues(new BigUint64Array(1))[0],
    isolate_pids: isolate.some(({ kind }) => kind === "pid"),
    isolate_cgroups: isolate.some(({ kind }) => kind === "cgroup"),
    only_rings: ringBits,
    filter_pid: only.pid !== null,
    only_pid: only.pid ?? 0,
    filter_uid: only.uid !== null,
    only_uid: only.uid ?? 0,
    filter_comm: only.comm !== null,
    only_comm: [comm.getBigUint64(0, true), comm.getBigUint64(8, true)],
  };
  return (object, set) => {
    for (const [name, value] of Object.entries(settings)) set(name, value);
    object.setMaxEntries("counters", ROUTER_PROGRAM.ROUTER_PROGRAMS * cpus);
  };
}
