/**
 * Turns a refusal by the kernel into one line for the operator: which program or map, why, and what to do. The kernel
 * itself answers with a number, libbpf with a page of text and the verifier with thousands of lines.
 */
import { EACCES, ENOSYS, EPERM, errnoName, PrivilegeError, SystemError, UnsupportedError } from "../runtime/errors.ts";
import { missingCapabilities } from "./capabilities.ts";
import { readKernelFile } from "./libc.ts";

/** Texts of the files in /proc/self that say what the kernel permits this process. */
export interface ProcessLimits {
  status: string;
  limits: string;
  uidMap: string;
}

const WHOLE_UID_MAP = /^\s*0\s+0\s+4294967295\s*$/;

/** Reads those files now. A file that cannot be read counts as empty. */
export function processLimits(): ProcessLimits {
  const read = (name: string) => {
    try {
      return readKernelFile(`/proc/self/${name}`);
    } catch {
      return "";
    }
  };
  return { status: read("status"), limits: read("limits"), uidMap: read("uid_map") };
}

/** Says why a call was not permitted. @returns `privilege`: true when more capabilities would help */
export function whyNotPermitted({ status, limits, uidMap }: ProcessLimits): { privilege: boolean; reason: string } {
  const missing = missingCapabilities(status);
  if (missing.length > 0) return { privilege: true, reason: `${missing.join(", ")} missing; run it with sudo` };
  if (uidMap !== "" && !WHOLE_UID_MAP.test(uidMap)) {
    const reason = "the capabilities are held in a user namespace only; run it outside of it (a privileged container)";
    return { privilege: true, reason };
  }
  const lockedBytes = /^Max locked memory\s+(\d+)/m.exec(limits)?.[1];
  const reasons = ["a seccomp filter, lockdown or another security policy forbids it"];
  if (lockedBytes !== undefined) {
    reasons.unshift(
      `before Linux 5.11 maps count as locked memory, of which ${Math.floor(Number(lockedBytes) / 1024)} KiB are ` +
        `allowed: raise it with "ulimit -l unlimited" or LimitMEMLOCK=infinity`,
    );
  }
  return { privilege: false, reason: reasons.join("; else ") };
}

/** The error for a map that the kernel did not make, with the right exit code. @param action as of `SystemError` */
export function mapRefused(action: string, errno: number, limits = processLimits): Error {
  const cause = new SystemError(action, errno);
  if (errno === ENOSYS) return new UnsupportedError(`${cause.message}; ${NO_BPF}`, { cause });
  if (errno !== EPERM) return cause;
  const { privilege, reason } = whyNotPermitted(limits());
  return new (privilege ? PrivilegeError : UnsupportedError)(`${cause.message}; ${reason}`, { cause });
}

const NO_BPF = "this kernel was built without the bpf system call (CONFIG_BPF_SYSCALL), or a seccomp filter hides it";

export interface LoadFailure {
  /** The object's name. */
  object: string;
  /** Positive errno of bpf_object__load(). */
  errno: number;
  /** What libbpf printed, a line a message. */
  messages: string;
  /** Empty unless the verifier was asked. */
  verifierLog: string;
}

/** Messages of libbpf that name the part that failed, the most informative first. */
const PATTERNS: { pattern: RegExp; what: (match: RegExpExecArray) => string; unsupported: boolean }[] = [
  {
    pattern: /failed to find valid kernel BTF|kernel BTF is missing|Error loading vmlinux BTF/,
    what: () => "this kernel has no type information (BTF, CONFIG_DEBUG_INFO_BTF)",
    unsupported: true,
  },
  {
    pattern: /prog '([^']+)': failed to find kernel BTF type ID of '([^']+)'/,
    what: ([, program, target]) => `program "${program}" needs "${target}", which this kernel does not have`,
    unsupported: true,
  },
  {
    pattern: /map '([^']+)': failed to create/,
    what: ([, map]) => `this kernel does not make map "${map}"`,
    unsupported: false,
  },
  {
    pattern: /prog '([^']+)': BPF program load failed/,
    what: ([, program]) => `this kernel's verifier refuses program "${program}"`,
    unsupported: true,
  },
];

/**
 * The error for an object that did not load. Its message is one line; its cause carries libbpf's messages and the
 * verifier's log, for `--debug`.
 *
 * @returns PrivilegeError where capabilities would help, else UnsupportedError
 */
export function loadRefused(failure: LoadFailure, limits = processLimits): PrivilegeError | UnsupportedError {
  const { object, errno, messages, verifierLog } = failure;
  const cause = new SystemError(`load BPF object "${object}"`, errno, { log: `${messages}\n${verifierLog}` });
  if (errno === ENOSYS) return new UnsupportedError(`${cause.message}; ${NO_BPF}`, { cause });
  const found = PATTERNS.map(({ pattern, ...rest }) => ({ ...rest, match: pattern.exec(messages) }))
    .find(({ match }) => match !== null);
  // The verifier refuses with EACCES, too, but then it writes a log.
  const notPermitted = errno === EPERM || (errno === EACCES && verifierLog === "" && !found?.unsupported);
  if (notPermitted && verifierLog === "") {
    const { privilege, reason } = whyNotPermitted(limits());
    return new (privilege ? PrivilegeError : UnsupportedError)(`${cause.message}; ${reason}`, { cause });
  }
  const what = found === undefined ? cause.message : `Cannot load BPF object "${object}": ${found.what(found.match!)}`;
  return new UnsupportedError(found?.unsupported === true ? what : `${what} (${errnoName(errno)})`, { cause });
}

/** The reason of a failed load without its action, for a line that names the action itself. */
export function loadReason(error: Error): string {
  return error.message.replace(/\s*\n\s*/g, " ").replace(/^Cannot load BPF object "[^"]+": /, "");
}
