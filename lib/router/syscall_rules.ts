/** Which system calls the router watches, and what it looks for in each. */
import type { EventType } from "../events/event.ts";
import { SYSCALL_RULE, VIOLATION_KIND } from "../wire/layouts.gen.ts";
import { type Machine, syscallNumber } from "../wire/syscalls.ts";

const { SYSCALL_OPENAT, SYSCALL_OPENAT2, SYSCALL_OPEN, SYSCALL_CREAT, SYSCALL_CONNECT, SYSCALL_FORK } = SYSCALL_RULE;

const OPENS: Record<string, number> = {
  openat: SYSCALL_OPENAT,
  openat2: SYSCALL_OPENAT2,
  open: SYSCALL_OPEN,
  creat: SYSCALL_CREAT,
};

const FORKS = ["clone", "clone3", "fork", "vfork"];

/** Calls whose refusal is a violation, by where their path is: the 1-based argument, 0 for none. */
const DENIABLE: Record<number, string> = {
  0: `bind connect setuid setgid setreuid setregid setresuid setresgid setgroups capset ptrace kill tkill tgkill
    process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp bpf perf_event_open init_module
    finit_module kexec_load kexec_file_load reboot setns unshare sethostname setdomainname settimeofday clock_settime
    iopl ioperm syslog keyctl fchown fchmod userfaultfd fsopen fsmount fsconfig open_by_handle_at`,
  1: `open creat execve chown lchown chmod chroot mkdir rmdir unlink rename link symlink truncate mknod umount2
    pivot_root swapon swapoff acct delete_module setxattr lsetxattr removexattr`,
  2: `openat openat2 execveat fchownat fchmodat fchmodat2 mkdirat unlinkat renameat renameat2 linkat mknodat mount
    move_mount open_tree`,
};

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

const SYSCALLS_MAX = 512;

const PATH_SHIFT = 8;

const KIND_SHIFT = 12;

/** What the program at sys_exit looks for in each call: `syscall_rules` of bpf/router.bpf.c. */
export function syscallRules(machine: Machine, sources: readonly EventType[]): number[] {
  const rules = new Array<number>(SYSCALLS_MAX).fill(0);
  const add = (name: string, bits: number) => {
    const number = syscallNumber(machine, name);
    if (number !== undefined && number < SYSCALLS_MAX) rules[number] |= bits;
  };
  for (const [argument, names] of Object.entries(DENIABLE)) {
    for (const name of names.trim().split(/\s+/)) {
      // For limits too a path is worth showing; alone it makes nobody look at the call.
      add(name, Number(argument) << PATH_SHIFT);
      if (sources.includes("security_violation")) add(name, SYSCALL_RULE.SYSCALL_MAY_BE_DENIED);
    }
  }
  if (sources.includes("file_open")) Object.entries(OPENS).forEach(([name, bits]) => add(name, bits));
  if (sources.includes("network_connect")) add("connect", SYSCALL_CONNECT);
  if (sources.includes("resource_limit")) FORKS.forEach((name) => add(name, SYSCALL_FORK));
  if (sources.includes("security_violation")) {
    for (const [name, kind] of Object.entries(ALWAYS)) add(name, SYSCALL_RULE.SYSCALL_ALWAYS | kind << KIND_SHIFT);
    for (const name of ["setreuid", "setresuid"]) add(name, SYSCALL_RULE.SYSCALL_TWO_IDS);
  }
  return rules;
}
