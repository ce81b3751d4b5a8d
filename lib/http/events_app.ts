/** What HTTP answers while `events` runs: metrics and health. */

import { Hono } from "hono";
import { PROMETHEUS_CONTENT_TYPE } from "../metrics/prometheus.ts";
import { guard, type GuardOptions } from "./guard.ts";
import { addRulesRoutes, type RulesPage } from "./rules_routes.ts";

export interface EventsSource {
  /** Programs are attached. */
  attached(): boolean;
  /** The page of metrics. */
  metrics(): string;
}

const INDEX = `ebpfmon
/metrics       Prometheus metrics
/healthz       200 while running
/readyz        200 while attached
`;
const RULES_INDEX = `/api/v1/rules  the rules for events; PUT changes them
`;

/** Makes the application; `source` is asked once a request. */
export function createEventsApp(source: EventsSource, options: GuardOptions, rules: RulesPage | null = null): Hono {
  const app = new Hono();
  app.use(guard(options));
  app.get("/", (context) => context.text(INDEX + (rules === null ? "" : RULES_INDEX)));
  if (rules !== null) addRulesRoutes(app, rules, options);
  app.get("/metrics", (context) => context.body(source.metrics(), 200, { "content-type": PROMETHEUS_CONTENT_TYPE }));
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => source.attached() ? context.text("ok\n") : context.text("not attached\n", 503));
  app.notFound((context) => context.json({ error: "no such page; see /" }, 404));
  app.onError((error, context) => context.json({ error: error.message }, 500));
  return app;
}
