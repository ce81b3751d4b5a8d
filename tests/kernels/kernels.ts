/** The kernels that `make test-kernels` boots, and the machines that it boots them on. */
import { AARCH64 } from "./aarch64.ts";

export interface Kernel {
  /** What results and expected.json call it: its version as KERNELS takes it, then the machine where that is not x86_64. */
  name: string;
  /** The Debian suite whose newest kernel it is. */
  suite: string;
}

/** The oldest kernel that ebpfmon supports first. */
export const KERNELS: readonly Kernel[] = [
  { name: "5.10", suite: "bullseye" },
  { name: "6.1", suite: "bookworm" },
  { name: "6.12", suite: "trixie" },
  { name: "newest", suite: "sid" },
];

/** One kind of machine, emulated by qemu. */
export interface Architecture {
  /** As `uname -m` and Deno name it. */
  name: "x86_64" | "aarch64";
  /** As Debian names it. */
  debian: "amd64" | "arm64";
  /** The package that depends on a suite's newest kernel. The cloud kernels are small and have what guests need. */
  kernelPackage: string;
  /** The program, and what chooses machine and processor. Emulated: KVM cannot be counted on where tests run. */
  qemu: { program: string; args: readonly string[] };
  /** The kernels that are booted unless others are asked for. */
  kernels: readonly string[];
  /** The kernel's name of the serial console. */
  console: string;
  /**
   * What runs in the guest: the program that is tested, the libraries that it embeds, a Deno of its architecture, and a
   * compiler with its flags for static programs.
   */
  guest: { program: string; libraries: string; deno: string; compiler: readonly string[] };
}

/** By the name that ARCH on the command line takes. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x86_64: {
    name: "x86_64",
    debian: "amd64",
    kernelPackage: "linux-image-cloud-amd64",
    qemu: { program: "qemu-system-x86_64", args: ["-accel", "tcg,thread=multi", "-cpu", "max"] },
    kernels: KERNELS.map(({ name }) => name),
    console: "ttyS0",
    guest: { program: "ebpfmon", libraries: "build/app/lib", deno: "build/bin/deno", compiler: ["clang"] },
  },
  aarch64: AARCH64,
};

/** @returns the kernels that `names` lists, separated by spaces; the architecture's own choice where it is empty */
export function chosenKernels(names: string, architecture: Architecture): readonly Kernel[] {
  const listed = names.split(/[\s,]+/).filter((name) => name !== "");
  return (listed.length === 0 ? architecture.kernels : listed).map((wanted) => {
    const kernel = KERNELS.find(({ name }) => name === wanted);
    if (kernel === undefined) {
      throw new RangeError(
        `Cannot test kernel "${wanted}": KERNELS takes ${KERNELS.map((it) => it.name).join(", ")}`,
      );
    }
    return { ...kernel, name: architecture.name === "x86_64" ? kernel.name : `${kernel.name}-${architecture.name}` };
  });
}
