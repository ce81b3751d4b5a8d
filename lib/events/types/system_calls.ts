/** What types of events that are system calls have in common. */
import type { KernelSource } from "./kernel_source.ts";

export const SYSTEM_CALLS: KernelSource = {
  name: "syscalls",
  unseen: "system calls",
  btf: [{ programs: ["syscall_exit"], way: "BTF tracepoint sys_exit" }],
  raw: [{ programs: ["syscall_exit"], way: "raw tracepoint sys_exit" }],
};

/** Calls whose refusal is a violation, by which of their arguments is a path, counted from 1; 0 for none. */
export const DENIABLE_CALLS: readonly (readonly string[])[] = [
  `bind connect setuid setgid setreuid setregid setresuid setresgid setgroups capset ptrace kill tkill tgkill
    process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp bpf perf_event_open init_module
    finit_module kexec_load kexec_file_load reboot setns unshare sethostname setdomainname settimeofday clock_settime
    iopl ioperm syslog keyctl fchown fchmod userfaultfd fsopen fsmount fsconfig open_by_handle_at`,
  `open creat execve chown lchown chmod chroot mkdir rmdir unlink rename link symlink truncate mknod umount2
    pivot_root swapon swapoff acct delete_module setxattr lsetxattr removexattr`,
  `openat openat2 execveat fchownat fchmodat fchmodat2 mkdirat unlinkat renameat renameat2 linkat mknodat mount
    move_mount open_tree`,
].map((names) => names.split(/\s+/));
