/** `ebpfmon pipeline` from the source tree, run to its end. */
import type { CliResult } from "./cli.ts";

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");

/** @param prefix a command that runs the program, such as setpriv */
export async function runPipeline(args: string[], prefix: string[] = []): Promise<CliResult> {
  const listen = args.includes("--listen") ? [] : ["--listen", "off"];
  const deno = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-all", `${ROOT}/main.ts`, "pipeline"];
  const [command, ...rest] = [...prefix, ...deno, ...args, ...listen];
  const { code, signal, stdout, stderr } = await new Deno.Command(command, { args: rest, cwd: ROOT }).output();
  const lines = (bytes: Uint8Array<ArrayBuffer>) =>
    new TextDecoder().decode(bytes).split("\n").filter((line) => line !== "");
  const output = lines(stdout);
  const objects = output.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  return { code, signal, objects, stdout: output, stderr: lines(stderr) };
}
