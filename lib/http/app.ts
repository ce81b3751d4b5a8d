/** What HTTP answers: metrics, health, the latest window. */

import { type Context, Hono } from "hono";
import { jsonLine, windowObject } from "../export/json_lines.ts";
import { type MetricsSnapshot, renderMetrics } from "../export/metrics.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../metrics/prometheus.ts";
import { guard, type GuardOptions } from "./guard.ts";
import { addRulesRoutes, type RulesPage } from "./rules_routes.ts";

/** The state of a run at the moment of a request. */
export interface HttpSnapshot {
  /** Programs are attached. */
  attached: boolean;
  host: string;
  /** A `--filter` was given. */
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

/** Makes the application; `source` is called once a request. */
export function createApp(source: () => HttpSnapshot, options: GuardOptions, rules: RulesPage | null = null): Hono {
  const app = new Hono();
  app.use(guard(options));
  app.get("/", (context) => context.text(INDEX + (rules === null ? "" : RULES_INDEX)));
  if (rules !== null) addRulesRoutes(app, rules, options);
  app.get(
    "/metrics",
    (context) => context.body(renderMetrics(source().metrics), 200, { "content-type": PROMETHEUS_CONTENT_TYPE }),
  );
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => source().attached ? context.text("ok\n") : context.text("not attached\n", 503));
  app.get("/api/v1/windows/latest", (context) => {
    const { host, filtered, metrics } = source();
    if (metrics.lastWindow === null) return problem(context, 404, "no window is complete yet");
    const line = jsonLine(windowObject(host, metrics.lastWindow, filtered));
    return context.body(line, 200, { "content-type": "application/json" });
  });
  app.notFound((context) => problem(context, 404, "no such page; see /"));
  app.onError((error, context) => problem(context, 500, error.message));
  return app;
}

function problem(context: Context, status: 404 | 500, error: string): Response {
  return context.json({ error }, status);
}
