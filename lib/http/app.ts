/** What HTTP answers: metrics, health, the latest window. */

import { type Context, Hono } from "hono";
import { jsonLine, windowObject } from "../export/json_lines.ts";
import { type MetricsSnapshot, renderMetrics } from "../export/metrics.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../export/prometheus.ts";

/** The state of a run at the moment of a request. */
export interface HttpSnapshot {
  /** Programs are attached. */
  attached: boolean;
  host: string;
  /** A `--filter` was given. */
  filtered: boolean;
  metrics: MetricsSnapshot;
}

export interface AppOptions {
  /** Only this machine can connect: then only names of this machine are answered to. */
  loopback: boolean;
}

const INDEX = `ebpfmon
/metrics                Prometheus metrics
/healthz                200 while running
/readyz                 200 while attached
/api/v1/windows/latest  the last complete window, as JSON
`;

const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Makes the application; `source` is called once a request. */
export function createApp(source: () => HttpSnapshot, { loopback }: AppOptions): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    // A page on the web can make its own name resolve to 127.0.0.1 and then read us as its own origin. It cannot make
    // the browser send another Host than that name.
    if (loopback && !isLocal(context.req.header("host") ?? new URL(context.req.url).host)) {
      context.res = problem(context, 403, "this address answers to localhost, 127.0.0.1 and [::1] only");
    } else {
      await next();
    }
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.res.headers.set(name, value);
  });

  app.get("/", (context) => context.text(INDEX));
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

/** Whether an address to listen on can be reached from this machine only. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Whether a Host header, with or without a port, names this machine. */
function isLocal(host: string): boolean {
  return isLoopback(host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase());
}

function problem(context: Context, status: 403 | 404 | 500, error: string): Response {
  return context.json({ error }, status);
}
