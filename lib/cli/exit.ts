/** How a command ends: DESIGN section 2. */
export const EXIT = { done: 0, failed: 1, usage: 2, privilege: 3, unsupported: 4 } as const;
export type ExitCode = typeof EXIT[keyof typeof EXIT];
