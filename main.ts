/**
 * ebpfmon: the command line, its signals and its exit codes. Everything else is in lib/.
 */
import { parseCommandLine, type ParsedCommand, UsageError } from "./lib/cli/args.ts";
import { buildInfo } from "./lib/cli/build_info.ts";
import { completionScript } from "./lib/cli/completions.ts";
import { OutputClosed, print, warn } from "./lib/cli/console.ts";
import { detach } from "./lib/cli/detach.ts";
import { doctor } from "./lib/cli/doctor.ts";
import { events } from "./lib/cli/events.ts";
import { EXIT, type ExitCode } from "./lib/cli/exit.ts";
import { hangup } from "./lib/cli/hangup.ts";
import { measure } from "./lib/cli/measure.ts";
import { monitor } from "./lib/cli/monitor.ts";
import { pipeline } from "./lib/cli/pipeline.ts";
import { replay } from "./lib/cli/replay.ts";
import { top } from "./lib/cli/top.ts";
import { exitCodeOf } from "./lib/runtime/errors.ts";
import { WorkerError } from "./lib/runtime/worker_handle.ts";

function versionText(): string {
  const { version, commit, packaging, deno, libbpf } = buildInfo();
  return `ebpfmon ${version} (${commit}), ${packaging}, Deno ${deno}, embedded libbpf ${libbpf}\n`;
}

/** A terminal and sudo may both pass on one Ctrl-C. */
const SAME_SIGNAL_MS = 1_000;

/** Aborts on the first SIGINT or SIGTERM, and on a SIGHUP that nobody has a use for. A later one gives up on the last flush; the kernel detaches anyway. */
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

/** Code with large dependencies is loaded when it is asked for: `monitor` starts without what `serve` needs. */
async function run(parsed: ParsedCommand): Promise<ExitCode> {
  const host = Deno.hostname();
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
      return await doctor(parsed.options, host);
    case "detach":
      return detach(parsed.options, host);
    case "history":
      return await (await import("./lib/cli/history.ts")).history(parsed.options, host);
    case "replay":
      return await replay(parsed.options, host, stopSignal());
    case "events":
      return await events(parsed.options, host, stopSignal());
    case "pipeline":
      return await pipeline(parsed.options, host, stopSignal());
    case "agent":
      return await (await import("./lib/cli/agent.ts")).agent(parsed.options, host, stopSignal());
    case "serve":
      return await (await import("./lib/cli/serve.ts")).serve(parsed.options, host, stopSignal());
    case "monitor":
      return await monitor(parsed.options, host, stopSignal());
    case "top":
      return await top(parsed.options, host, stopSignal());
    case "measure":
      return await measure(parsed.options, host, stopSignal());
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
