/** What the benches of critical events share: the load, and a router that sends every event it sees. */
import { PIPELINE_DEFAULTS, STOP_DEADLINE_MS } from "../lib/cli/event_run.ts";
import { Pipeline } from "../lib/pipeline/pipeline.ts";
import type { RouterEvent } from "../lib/events/event.ts";
import type { RouterOptions } from "../lib/router/router_messages.ts";
import { Router } from "../lib/router/router.ts";
import { outputOf, programPath } from "./support.ts";

const LOAD = "critical_load";

/** No rules, no limits, no repeats held back, rings of the sizes they have by default that stay as they are. */
export const SEND_ALL: Omit<RouterOptions, "output"> = {
  sources: ["file_open", "security_violation"],
  rules: [],
  ringBytes: { critical: 128 * 1024, normal: 512 * 1024, debug: 64 * 1024 },
  ringBytesMax: 0,
  rateLimit: 0,
  repeatSuppression: false,
  isolate: [],
  only: { rings: [], events: [], pid: null, uid: null, comm: null },
  healthMs: 1000,
  assetsDir: "build/app",
};

/** One of the critical events of the load, and none that other processes cause meanwhile. */
export function isOfLoad({ event, severity, comm }: RouterEvent): boolean {
  return event === "security_violation" && severity === "critical" && comm === LOAD;
}

export interface Load {
  count: number;
  pauseUs: number;
  /** Processes that try to open a file at full speed meanwhile. */
  flooders: number;
}

/** Runs the load to its end. @returns opens a second of all flooders */
export async function runLoad({ count, pauseUs, flooders }: Load): Promise<number> {
  const program = programPath(LOAD);
  const start = performance.now();
  const floods = Array.from(
    { length: flooders },
    () => new Deno.Command(program, { args: ["flood"], stdin: "piped", stdout: "piped" }).spawn(),
  );
  let opens = 0;
  try {
    await outputOf(program, "critical", String(count), String(pauseUs));
  } finally {
    for (const flood of floods) {
      await flood.stdin.close();
      opens += Number(await new Response(flood.stdout).text());
      await flood.status;
    }
  }
  return opens / (performance.now() - start) * 1000;
}

/** Runs the load under a router and the pipeline behind it. @returns opens a second of all flooders */
export async function routeLoad(load: Load, take: (events: RouterEvent[]) => void): Promise<number> {
  await using pipeline = new Pipeline({ ...PIPELINE_DEFAULTS, deliver: true }, {
    events: take,
    notice: (text) => console.error(text),
  });
  using router = new Router({ ...SEND_ALL, output: pipeline.input });
  let opensPerSecond: Promise<number> | undefined;
  for await (const report of router.reports()) {
    if (report.kind === "ready") opensPerSecond = runLoad(load).finally(() => router.stop(STOP_DEADLINE_MS));
  }
  await pipeline.stop(STOP_DEADLINE_MS);
  return await opensPerSecond!;
}
