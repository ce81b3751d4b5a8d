/** A system call was refused for want of permission, or is one that deserves a look however it ends. */
import { EVENT_TYPE, SYSCALL_RULE, VIOLATION_KIND } from "../../wire/layouts.gen.ts";
import { describeEvent } from "./event_description.ts";
import { DENIABLE_CALLS, SYSTEM_CALLS } from "./system_calls.ts";
import { VIOLATION, type Violation } from "./violation.ts";

const { SYSCALL_ALWAYS, SYSCALL_MAY_BE_DENIED, SYSCALL_TWO_IDS } = SYSCALL_RULE;

/** Where a rule of a system call has the kind of a call that is always a violation. */
const KIND_SHIFT = 12;

/** Calls that are violations however they end. */
const ALWAYS: Record<string, number> = {
  ptrace: VIOLATION_KIND.VIOLATION_PTRACE,
  setuid: VIOLATION_KIND.VIOLATION_SETUID_ROOT,
  setreuid: VIOLATION_KIND.VIOLATION_SETUID_ROOT,
  setresuid: VIOLATION_KIND.VIOLATION_SETUID_ROOT,
  init_module: VIOLATION_KIND.VIOLATION_MODULE_LOAD,
  finit_module: VIOLATION_KIND.VIOLATION_MODULE_LOAD,
  bpf: VIOLATION_KIND.VIOLATION_BPF,
  mount: VIOLATION_KIND.VIOLATION_MOUNT,
};

const TWO_IDS = ["setreuid", "setresuid"];

function ruleOf(call: string): number {
  const always = call in ALWAYS ? SYSCALL_ALWAYS | ALWAYS[call] << KIND_SHIFT : 0;
  return SYSCALL_MAY_BE_DENIED | always | (TWO_IDS.includes(call) ? SYSCALL_TWO_IDS : 0);
}

export const securityViolation = describeEvent<
  Violation<"security_violation">,
  ReturnType<typeof VIOLATION.toMessage>
>({
  ...VIOLATION,
  name: "security_violation",
  type: EVENT_TYPE.EVENT_SECURITY_VIOLATION,
  sources: [SYSTEM_CALLS],
  // All calls that are violations however they end may be denied as well.
  syscalls: Object.fromEntries(DENIABLE_CALLS.flat().map((call) => [call, ruleOf(call)])),
});
