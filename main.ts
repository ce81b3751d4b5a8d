/**
 * ebpfmon: the command line, its signals and its exit codes. Everything else is in lib/.
 */
import { buildInfo } from "./lib/cli/build_info.ts";
import type { Command, RunContext } from "./lib/cli/command.ts";
import { COMMANDS, parseCommandLine } from "./lib/cli/commands/mod.ts";
import { OutputClosed, print, warn } from "./lib/cli/console.ts";
import { EXIT, type ExitCode } from "./lib/cli/exit.ts";
import { UsageError } from "./lib/cli/flags/usage.ts";
import { hangup } from "./lib/cli/hangup.ts";
import { exitCodeOf } from "./lib/runtime/errors.ts";
import { WorkerError } from "./lib/runtime/worker_handle.ts";

function versionText(): string {
  const { version, commit, packaging, deno, libbpf } = buildInfo();
  return `ebpfmon ${version} (${commit}), ${packaging}, Deno ${deno}, embedded libbpf ${libbpf}\n`;
}

/** A terminal and sudo may both pass on one Ctrl-C. */
const SAME_SIGNAL_MS = 1_000;

/**
 * Aborts on the first SIGINT or SIGTERM, and on a SIGHUP that nobody has a use for. A later signal gives up on the last
 * flush; the kernel detaches anyway.
 */
function stopSignal(): AbortController {
  const controller = new AbortController();
  let firstMs: number | null = null;
  const stop = () => {
    firstMs ??= performance.now();
    controller.abort();
    if (performance.now() - firstMs < SAME_SIGNAL_MS) return;
    warn("stopped before the last flush");
    Deno.exit(EXIT.failed);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  Deno.addSignalListener("SIGHUP", () => hangup() || stop());
  return controller;
}

async function run(parsed: ReturnType<typeof parseCommandLine>): Promise<ExitCode> {
  switch (parsed.command) {
    case "help":
      print(parsed.text);
      return EXIT.done;
    case "version":
      print(versionText());
      return EXIT.done;
    default: {
      const command: Command = COMMANDS[parsed.command];
      const context: RunContext = { host: Deno.hostname(), commands: COMMANDS, stopOnSignals: stopSignal };
      return await (await command.load()).run(parsed.options, context);
    }
  }
}

/** One line for whatever went wrong; the rest with `--debug`. */
function explain(error: unknown, debug: boolean): ExitCode {
  if (error instanceof OutputClosed) return EXIT.done;
  const failure = error instanceof WorkerError ? error.failure : null;
  const message = error instanceof Error ? error.message : String(error);
  warn(message.replace(/\s*\n\s*/g, " "));
  if (debug) warn(failure?.detail ?? (error instanceof Error ? error.stack ?? "" : ""));
  if (error instanceof UsageError) return EXIT.usage;
  return failure?.exitCode ?? exitCodeOf(error);
}

async function main(words: string[]): Promise<ExitCode> {
  let debug = words.includes("--debug");
  try {
    const parsed = parseCommandLine(words, (path) => Deno.readTextFileSync(path));
    if ("options" in parsed && "debug" in parsed.options) debug = parsed.options.debug;
    return await run(parsed);
  } catch (error) {
    return explain(error, debug);
  }
}

// Exit at once: what is left are workers and handles that end with the process.
Deno.exit(await main(Deno.args));
