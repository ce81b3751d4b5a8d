/** What HTTP answers while `monitor` or `agent` runs: the common pages, the latest window, and the rules. */
import type { Hono } from "hono";
import { jsonLine, windowObject } from "../export/json_lines.ts";
import { type MetricsSnapshot, renderMetrics } from "../export/metrics.ts";
import { createBaseApp, unlessAttached } from "./base_app.ts";
import type { GuardOptions } from "./guard.ts";
import { problem } from "./problem.ts";
import { addRulesRoutes, type RulesPage } from "./rules_routes.ts";

/** The state of a run at the moment of a request. */
export interface HttpSnapshot {
  /** True once programs are attached. */
  attached: boolean;
  host: string;
  /** True where `--filter` chose some flows only. */
  filtered: boolean;
  metrics: MetricsSnapshot;
}

const INDEX = `ebpfmon
/metrics                Prometheus metrics
/healthz                200 while running
/readyz                 200 while attached
/api/v1/windows/latest  the last complete window, as JSON
`;
const RULES_INDEX = `/api/v1/rules           the rules for events; PUT changes them
`;

/** Makes the application. `source` is called at each request. */
export function createApp(source: () => HttpSnapshot, options: GuardOptions, rules: RulesPage | null = null): Hono {
  const app = createBaseApp(
    {
      index: INDEX + (rules === null ? "" : RULES_INDEX),
      metrics: () => renderMetrics(source().metrics),
      unready: () => unlessAttached(source().attached),
    },
    options,
  );
  if (rules !== null) addRulesRoutes(app, rules, options);
  app.get("/api/v1/windows/latest", (context) => {
    const { host, filtered, metrics } = source();
    if (metrics.lastWindow === null) return problem(context, 404, "no window is complete yet");
    const line = jsonLine(windowObject(host, metrics.lastWindow, filtered));
    return context.body(line, 200, { "content-type": "application/json" });
  });
  return app;
}
