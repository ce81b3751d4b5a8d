/** Which system calls the router watches, and what it looks for in each. */
import type { EventType } from "../events/event.ts";
import { descriptionOf } from "../events/types/mod.ts";
import { DENIABLE_CALLS } from "../events/types/system_calls.ts";
import { type Machine, syscallNumber } from "../wire/syscalls.ts";

const SYSCALLS_MAX = 512;

const PATH_SHIFT = 8;

/** What the program at sys_exit looks for in each call: `syscall_rules` of bpf/router_record.h, by the call's number. */
export function syscallRules(machine: Machine, sources: readonly EventType[]): number[] {
  const rules = new Array<number>(SYSCALLS_MAX).fill(0);
  const add = (name: string, bits: number) => {
    const number = syscallNumber(machine, name);
    if (number !== undefined && number < SYSCALLS_MAX) rules[number] |= bits;
  };
  // For limits too a path is worth showing; alone it makes nobody look at the call.
  DENIABLE_CALLS.forEach((names, argument) => names.forEach((name) => add(name, argument << PATH_SHIFT)));
  for (const source of sources) {
    for (const [name, bits] of Object.entries(descriptionOf(source).syscalls ?? {})) add(name, bits);
  }
  return rules;
}
