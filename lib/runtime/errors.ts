/**
 * Errors that decide an exit code. Anything else that is thrown is a defect and exits 1.
 */

/** Names of the error numbers of Linux, the same on x86_64 and aarch64, that this program meets. */
const ERRNO_NAMES: Record<number, [name: string, meaning: string]> = {
  1: ["EPERM", "operation not permitted"],
  2: ["ENOENT", "no such file or object"],
  3: ["ESRCH", "no such process or function"],
  4: ["EINTR", "interrupted"],
  5: ["EIO", "input or output error"],
  6: ["ENXIO", "no such device or address"],
  7: ["E2BIG", "no room left"],
  9: ["EBADF", "bad file descriptor"],
  11: ["EAGAIN", "try again"],
  12: ["ENOMEM", "out of memory"],
  13: ["EACCES", "permission denied"],
  14: ["EFAULT", "bad address"],
  16: ["EBUSY", "in use"],
  17: ["EEXIST", "exists already"],
  19: ["ENODEV", "no such device"],
  20: ["ENOTDIR", "not a folder"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "too many open files on this host"],
  24: ["EMFILE", "too many open files"],
  28: ["ENOSPC", "no space left"],
  34: ["ERANGE", "out of range"],
  38: ["ENOSYS", "not in this kernel"],
  75: ["EOVERFLOW", "value too large"],
  90: ["EMSGSIZE", "message too long"],
  95: ["EOPNOTSUPP", "not supported"],
  105: ["ENOBUFS", "no buffer space"],
  110: ["ETIMEDOUT", "timed out"],
  524: ["ENOTSUPP", "not supported"],
};

export const EPERM = 1,
  ENOENT = 2,
  EINTR = 4,
  E2BIG = 7,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  ENODEV = 19,
  EINVAL = 22;
export const ENFILE = 23, EMFILE = 24;
export const ENOSPC = 28, ENOSYS = 38, EOPNOTSUPP = 95, ENOTSUPP = 524;

/** `EPERM`, or `errno 200` for one without a name here. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno]?.[0] ?? `errno ${errno}`;
}

/** A call into the kernel or libbpf that failed. Exits 3 for a missing privilege, else 1. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** The positive error number. */
  readonly errno: number;
  /** The log of the verifier or of libbpf, shown with `--debug`; empty where there is none. */
  readonly log: string;

  /** @param action what was attempted, as in `load program "flow"` */
  constructor(action: string, errno: number, options: { log?: string; hint?: string; cause?: unknown } = {}) {
    const meaning = ERRNO_NAMES[errno]?.[1];
    const state = meaning ? `${errnoName(errno)} (${meaning})` : errnoName(errno);
    super(`Cannot ${action}: ${state}${options.hint ? `; ${options.hint}` : ""}`, { cause: options.cause });
    this.errno = errno;
    this.log = options.log ?? "";
  }
}

/** The refused call behind an error: the error itself, or the cause of one that explains it; null where there is none. */
export function refusalOf(error: unknown): SystemError | null {
  const causes = error instanceof Error ? [error, error.cause] : [];
  return causes.find((it) => it instanceof SystemError) ?? null;
}

/** The process lacks a capability. Exits 3. */
export class PrivilegeError extends Error {
  override readonly name = "PrivilegeError";
}

/** The kernel or libbpf lacks a feature, or something else holds the place. Exits 4. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}

/** The exit code of a failure while running, as docs/reference.md has it: 3 for a missing privilege, 4 for a missing feature, else 1. */
export function exitCodeOf(error: unknown): 1 | 3 | 4 {
  if (error instanceof PrivilegeError) return 3;
  if (error instanceof UnsupportedError) return 4;
  return 1;
}
