/** `ebpfmon completions`: prints a script for a shell. */
import type { RunContext } from "../command.ts";
import { completionScript } from "../completions.ts";
import { print } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import type { CompletionsOptions } from "./completions.ts";

/** Prints the script. */
export function run({ shell }: CompletionsOptions, { commands }: RunContext): ExitCode {
  print(completionScript(shell, commands));
  return EXIT.done;
}
