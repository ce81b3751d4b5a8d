/** How a command ends. `partly`: `doctor` found that some of ebpfmon works here and some does not. */
export const EXIT = { done: 0, failed: 1, usage: 2, privilege: 3, unsupported: 4, partly: 5 } as const;
export type ExitCode = typeof EXIT[keyof typeof EXIT];
