/**
 * Events and system calls on a kernel that shows no BTF, compared by scripts with what programs know of themselves. It
 * takes several minutes a kernel, so it runs only when it is asked for: SUBJECTS=without-btf.
 */
import { assertEquals } from "../../assert.ts";
import { type Guest, subject } from "./subject.ts";

interface Script {
  code: number;
  /** Lines that say what does not hold. */
  complaints: string[];
}

/** Runs a script of this folder where the kernel's BTF is hidden. */
async function runHidden({ data }: Guest, script: string, ...args: string[]): Promise<Script> {
  const hide = "mkdir -p /tmp/no-btf && mount --bind /tmp/no-btf /sys/kernel/btf";
  const words = ["--mount", "sh", "-c", `${hide} && exec python3 "$@"`, "sh", `${data}/scripts/${script}`, ...args];
  const { code, stdout, stderr } = await new Deno.Command("unshare", { args: words, stdin: "null" }).output();
  const lines = [stdout, stderr].flatMap((bytes) => new TextDecoder().decode(bytes).trim().split("\n"));
  return { code, complaints: lines.filter((line) => !line.startsWith("ok")).slice(-12) };
}

export const withoutBtf = subject({
  name: "without-btf",
  onRequest: true,
  limitSeconds: 600,
  async gather(guest) {
    const { ebpfmon, data } = guest;
    const top = await runHidden(guest, "top_check.py", ebpfmon, `${data}/syscall_actor`, `${data}/one_call`, "raw");
    const events = await runHidden(guest, "events_check.py", ebpfmon, "raw");
    return { top, events };
  },
  checks: {
    "top counts what programs know that they did, and keeps nothing of threads that ended": ({ top }) =>
      assertEquals(top.code, 0, top.complaints.join(" | ")),
    "events are told field by field, and nothing is shown that the kernel did not tell": ({ events }) =>
      assertEquals(events.code, 0, events.complaints.join(" | ")),
  },
});
