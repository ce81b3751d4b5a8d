/** Linux capabilities of this process. */
import { PrivilegeError } from "../runtime/errors.ts";
import { readKernelFile } from "./libc.ts";

const CAPABILITY_BITS = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITY_BITS;

/**
 * The capabilities for loading and attaching programs. Before Linux 5.8 CAP_SYS_ADMIN replaces CAP_BPF and CAP_PERFMON.
 */
const NEEDED: Capability[] = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"];

/** The capabilities among `needed` that a process with this /proc/PID/status text lacks. */
export function missingCapabilities(statusText: string, needed: Capability[] = NEEDED): Capability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(statusText)?.[1] ?? "0"}`);
  const holds = (name: Capability) => (effective >> BigInt(CAPABILITY_BITS[name]) & 1n) === 1n;
  return needed.filter((name) => !holds(name) && !(name !== "CAP_NET_ADMIN" && holds("CAP_SYS_ADMIN")));
}

/**
 * @param attempt what needs the capabilities, for the message
 * @throws {PrivilegeError} naming the ones that are missing
 */
export function requireCapabilities(attempt: string): void {
  const missing = missingCapabilities(readKernelFile("/proc/self/status"));
  if (missing.length > 0) {
    throw new PrivilegeError(`Cannot ${attempt}: ${missing.join(", ")} missing; run it with sudo`);
  }
}
