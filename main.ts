/**
 * ebpfmon: the command line, its signals and its exit codes. Everything else is in lib/.
 */
import { parseCommandLine, type ParsedCommand, UsageError } from "./lib/cli/args.ts";
import { buildInfo } from "./lib/cli/build_info.ts";
import { completionScript } from "./lib/cli/completions.ts";
import { OutputClosed, print, warn } from "./lib/cli/console.ts";
import { doctor } from "./lib/cli/doctor.ts";
import { events } from "./lib/cli/events.ts";
import { EXIT, type ExitCode } from "./lib/cli/exit.ts";
import { measure } from "./lib/cli/measure.ts";
import { monitor } from "./lib/cli/monitor.ts";
import { exitCodeOf } from "./lib/errors.ts";
import { WorkerError } from "./lib/worker_handle.ts";

function versionText(): string {
  const { version, commit, packaging, deno, libbpf } = buildInfo();
  return `ebpfmon ${version} (${commit}), ${packaging}, Deno ${deno}, embedded libbpf ${libbpf}\n`;
}

/** A terminal and sudo may both pass on one Ctrl-C. */
const SAME_SIGNAL_MS = 1_000;

/** Aborts on the first SIGINT, SIGTERM or SIGHUP. A later one gives up on the last flush; the kernel detaches anyway. */
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
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, stop);
  return controller;
}

async function run(parsed: ParsedCommand): Promise<ExitCode> {
  switch (parsed.command) {
    case "help":
      print(parsed.text);
      return EXIT.done;
    case "version":
      print(versionText());
      return EXIT.done;
    case "completions":
      print(completionScript(parsed.shell));
      return EXIT.done;
    case "doctor":
      return await doctor(parsed.options, Deno.hostname());
    case "events":
      return await events(parsed.options, Deno.hostname(), stopSignal());
    case "monitor":
      return await monitor(parsed.options, Deno.hostname(), stopSignal());
    case "measure":
      return await measure(parsed.options, Deno.hostname(), stopSignal());
    default:
      return parsed satisfies never;
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
    if ("options" in parsed) debug = parsed.options.debug;
    return await run(parsed);
  } catch (error) {
    return explain(error, debug);
  }
}

// Exit at once: what is left are workers and handles that end with the process.
Deno.exit(await main(Deno.args));
