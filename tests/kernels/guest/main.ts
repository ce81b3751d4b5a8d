/**
 * The first program of a guest that is ours: runs the subjects and reports to the host, a JSON line a result.
 *
 *     main.ts PORT KERNEL DATA [SUBJECT,...]
 */
import type { GuestLine } from "../results.ts";
import { chosenSubjects } from "./list.ts";
import { runSubjects } from "./runner.ts";

const [results, kernel, data, chosen] = Deno.args;
const port = Deno.openSync(results, { write: true });

function report(line: GuestLine): void {
  const bytes = new TextEncoder().encode(JSON.stringify(line) + "\n");
  for (let done = 0; done < bytes.length;) done += port.writeSync(bytes.subarray(done));
}

const names = (chosen ?? "").split(",").filter((name) => name !== "");
await runSubjects(chosenSubjects(names), { kernel, data, ebpfmon: Deno.env.get("EBPFMON")! }, report);
Deno.exit(0);
