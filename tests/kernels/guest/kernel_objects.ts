/** What is loaded and attached in the kernel, as bpftool, ip and tc tell it. */
import { delay } from "../../../lib/runtime/timers.ts";
import { output } from "../command.ts";

/** Programs of systemd, which it makes for units that others start. */
const SYSTEMD_PROGRAM = /^sd_/;

/** All programs and links but systemd's. */
export async function kernelObjects(): Promise<Set<string>> {
  const all = new Set<string>();
  for (const kind of ["prog", "link"]) {
    const rows: { id: number; name?: string; type?: string }[] = JSON.parse(
      await output("bpftool", ["-j", kind, "show"]) || "[]",
    );
    for (const { id, name = "", type = "" } of rows) {
      if (!SYSTEMD_PROGRAM.test(name)) all.add([kind, id, type, name].join(" ").trim());
    }
  }
  return all;
}

/** Waits until nothing is there that was not there `before`: the kernel frees programs after a grace period. */
export async function leftOver(before: Set<string>, waitMs = 20_000): Promise<string[]> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const left = [...await kernelObjects()].filter((object) => !before.has(object));
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await delay(500);
  }
}
