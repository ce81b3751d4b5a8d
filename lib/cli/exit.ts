/** Exit codes of the program. `partly` means that `doctor` found that only some of ebpfmon works on this machine. */
export const EXIT = { done: 0, failed: 1, usage: 2, privilege: 3, unsupported: 4, partly: 5 } as const;
export type ExitCode = typeof EXIT[keyof typeof EXIT];
