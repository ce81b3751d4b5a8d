/** A process met a limit: of open files, of memory, of processes; or it was killed for want of memory. */
import { EVENT_TYPE, SYSCALL_RULE } from "../../wire/layouts.gen.ts";
import { describeEvent } from "./event_description.ts";
import { SYSTEM_CALLS } from "./system_calls.ts";
import { VIOLATION, type Violation } from "./violation.ts";

const FORKS = ["clone", "clone3", "fork", "vfork"];

export const resourceLimit = describeEvent<Violation<"resource_limit">, ReturnType<typeof VIOLATION.toMessage>>({
  ...VIOLATION,
  name: "resource_limit",
  type: EVENT_TYPE.EVENT_RESOURCE_LIMIT,
  sources: [SYSTEM_CALLS, {
    name: "oom",
    unseen: "processes killed for want of memory",
    btf: [
      { programs: ["oom_victim"], way: "BTF tracepoint mark_victim" },
      {
        programs: ["oom_victim_pid"],
        way: "BTF tracepoint mark_victim",
        limit: "before Linux 6.8 the kernel tells only the pid of a process that it kills for want of memory",
      },
    ],
    raw: [{
      programs: ["oom_victim"],
      way: "tracepoint oom:mark_victim of tracefs",
      limit: "of a process that is killed for want of memory only the pid is told",
      tracepoint: { category: "oom", name: "mark_victim", fields: [{ name: "pid", offset: 8, size: 4 }] },
    }],
  }],
  syscalls: Object.fromEntries(FORKS.map((name) => [name, SYSCALL_RULE.SYSCALL_FORK])),
});
