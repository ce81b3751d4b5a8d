/** The running kernel's own type information, which BTF tracepoints and relocations need. */
import { fileExists } from "./libc.ts";

export const KERNEL_BTF = "/sys/kernel/btf/vmlinux";

/** False where the kernel was built without CONFIG_DEBUG_INFO_BTF, or the file is hidden. */
export function hasKernelBtf(): boolean {
  return fileExists(KERNEL_BTF);
}
