/** One boot of a kernel in qemu. */
import { linesOf } from "../support/lines.ts";
import type { KernelFiles } from "./kernel_files.ts";
import type { Architecture } from "./kernels.ts";

export interface Boot {
  architecture: Architecture;
  files: KernelFiles;
  /** The Debian root; the guest's changes to it are dropped. */
  root: string;
  /** What is tested and the tests: /data in the guest. */
  data: string;
  /** Where what the kernel says goes. */
  consoleLog: string;
  limitMs: number;
  /** Of the tests' program. */
  arguments: readonly string[];
}

const PROCESSORS = 2;
const MEMORY_MEGABYTES = 3_072;

/**
 * Runs a guest until it switches itself off, or for `limitMs`.
 *
 * @param line takes each line that the guest writes to its port for results
 * @returns what ended it, for whoever misses a result
 */
export async function bootGuest(boot: Boot, line: (text: string) => void): Promise<string> {
  const { architecture, files } = boot;
  const disk = (file: string, access: string) => ["-drive", `file=${file},format=raw,if=virtio,${access}`];
  using child = new OwnedChild(architecture.qemu.program, [
    ...architecture.qemu.args,
    ...["-smp", `${PROCESSORS}`, "-m", `${MEMORY_MEGABYTES}`],
    ...["-nodefaults", "-display", "none", "-nic", "none", "-no-reboot"],
    ...["-serial", `file:${boot.consoleLog}`],
    ...["-device", "virtio-serial", "-chardev", "stdio,id=results,signal=off"],
    ...["-device", "virtserialport,chardev=results,name=results"],
    ...["-kernel", files.kernel, "-initrd", files.initrd],
    ...["-append", `console=${architecture.console} quiet panic=-1 systemd.show_status=0 ${testArguments(boot)}`],
    ...disk(boot.root, "snapshot=on"),
    ...disk(files.modules, "readonly=on"),
    ...disk(boot.data, "readonly=on"),
  ]);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill();
  }, boot.limitMs);
  try {
    const errors = new Response(child.process.stderr).text();
    for await (const text of linesOf(child.process.stdout)) line(text);
    const { code } = await child.process.status;
    const said = (await errors).trim().split("\n").at(-1) ?? "";
    if (late) return `the guest was still running after ${boot.limitMs / 1000} s; see ${boot.consoleLog}`;
    if (code !== 0) return `${architecture.qemu.program} ended with ${code}: ${said}`;
    return `the guest ended without it; see ${boot.consoleLog}`;
  } finally {
    clearTimeout(timer);
  }
}

/** The kernel's command line is how they reach /data/run. */
function testArguments({ arguments: words }: Boot): string {
  return `ebpfmon.tests=${words.join(":")}`;
}

/** A process that does not outlive whoever started it. */
class OwnedChild implements Disposable {
  readonly process: Deno.ChildProcess;

  constructor(program: string, args: string[]) {
    // Standard input stays open: at its end qemu takes the guest's port for one that nobody reads, and the guest waits.
    this.process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  }

  kill(): void {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  [Symbol.dispose](): void {
    this.kill();
  }
}
