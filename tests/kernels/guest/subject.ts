/**
 * What a test in a guest is: a subject does something once, with as few starts of ebpfmon as it can, and its checks look
 * at what came of it. The names of all checks are known before anything runs, so that one that did not run is missed.
 */

/** What a subject may use. */
export interface Guest {
  /** The kernel's name in expected.json. */
  readonly kernel: string;
  /** The installed program. */
  readonly ebpfmon: string;
  /** Where the host has put its files; read-only. */
  readonly data: string;
  /** Disposed of when the subject's checks are done, or when its time is over: its processes have to be here. */
  readonly owned: AsyncDisposableStack;
  /** Keeps a finding for the host's tables. */
  fact(table: string, row: string, value: unknown): void;
}

export interface Subject {
  readonly name: string;
  /** It takes so long that it runs only where it is asked for by name. */
  readonly onRequest?: boolean;
  /** In an emulated machine, which is 5 to 20 times slower. */
  readonly limitSeconds: number;
  /** Names of its checks. */
  readonly checks: readonly string[];
  /** Does what is to be checked. @returns a check by its name, which throws where something is wrong */
  gather(guest: Guest): Promise<(check: string) => void | Promise<void>>;
}

/** Thrown by a check that this kernel has nothing for. The reason is shown. */
export class Skip extends Error {}

/**
 * Declares a subject.
 *
 * @param checks by their names, which read as facts; each gets what `gather` returned
 */
export function subject<Evidence>({ gather, checks, ...rest }: {
  name: string;
  onRequest?: boolean;
  limitSeconds: number;
  gather(guest: Guest): Promise<Evidence>;
  checks: Record<string, (evidence: Evidence, guest: Guest) => void | Promise<void>>;
}): Subject {
  return {
    ...rest,
    checks: Object.keys(checks),
    async gather(guest) {
      const evidence = await gather(guest);
      return (check) => checks[check](evidence, guest);
    },
  };
}

/** `SUBJECT: CHECK` of all checks, in their order. */
export function testNames(subjects: readonly Subject[]): string[] {
  return subjects.flatMap(({ name, checks }) => checks.map((check) => `${name}: ${check}`));
}
