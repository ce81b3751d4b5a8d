/** What HTTP answers while `events` or `pipeline` runs: the common pages, and the rules. */
import type { Hono } from "hono";
import { createBaseApp, unlessAttached } from "./base_app.ts";
import type { GuardOptions } from "./guard.ts";
import { addRulesRoutes, type RulesPage } from "./rules_routes.ts";

export interface EventsSource {
  /** True once programs are attached. */
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

/** Makes the application. `source` is asked at each request. */
export function createEventsApp(source: EventsSource, options: GuardOptions, rules: RulesPage | null = null): Hono {
  const app = createBaseApp(
    {
      index: INDEX + (rules === null ? "" : RULES_INDEX),
      metrics: () => source.metrics(),
      unready: () => unlessAttached(source.attached()),
    },
    options,
  );
  if (rules !== null) addRulesRoutes(app, rules, options);
  return app;
}
