/** What all HTTP applications of this program have: an index, metrics, health, readiness, and answers to what goes wrong. */
import { Hono } from "hono";
import { PROMETHEUS_CONTENT_TYPE } from "../metrics/prometheus.ts";
import { guard, type GuardOptions } from "./guard.ts";
import { BadRequest, problem } from "./problem.ts";

/** What the common pages show; asked at each request. */
export interface BasePages {
  /** The page `/`. */
  index: string;
  /** The page of metrics, in the text format of Prometheus. */
  metrics(): string | Promise<string>;
  /** What is missing before the program is ready; null when nothing is. */
  unready(): string | null;
}

/** Makes an application of the common pages, to which the caller adds its own. */
export function createBaseApp({ index, metrics, unready }: BasePages, options: GuardOptions): Hono {
  const app = new Hono();
  app.use(guard(options));
  app.get("/", (context) => context.text(index));
  app.get("/metrics", async (context) => {
    return context.body(await metrics(), 200, { "content-type": PROMETHEUS_CONTENT_TYPE });
  });
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => {
    const missing = unready();
    return missing === null ? context.text("ok\n") : context.text(`${missing}\n`, 503);
  });
  app.notFound((context) => problem(context, 404, "no such page; see /"));
  app.onError((error, context) => problem(context, error instanceof BadRequest ? 400 : 500, error.message));
  return app;
}

/** For `BasePages.unready` of a program that is ready once its programs are attached. */
export function unlessAttached(attached: boolean): string | null {
  return attached ? null : "not attached";
}
