/** What HTTP answers while `serve` runs: the common pages, and what the agents of the fleet have sent. */
import type { Context, Hono } from "hono";
import { protocolName } from "../net/iana.ts";
import { jsonLine, rfc3339 } from "../export/json_lines.ts";
import type { FleetAlert } from "../fleet/fleet_alert.ts";
import { SEVERITIES, type Severity } from "../events/event.ts";
import type { AgentStatus } from "../fleet/server/agent_status.ts";
import type { FlowQuery, GroupQuery, StoredAgent, TopFlow } from "../fleet/server/store_messages.ts";
import { createBaseApp } from "./base_app.ts";
import type { GuardOptions } from "./guard.ts";
import { BadRequest, problem } from "./problem.ts";

export interface FleetSource {
  /** Says what is missing before the server is ready; null when nothing is. */
  unready(): string | null;
  /** The page of metrics. */
  metrics(): Promise<string>;
  /** Agents that have or had a stream to this server since it started. */
  live(): AgentStatus[];
  /** null: this server stores nothing. */
  store: {
    agents(): Promise<StoredAgent[]>;
    /** Correlated groups, each the text of a JSON object. */
    groups(query: GroupQuery): Promise<string[]>;
    topFlows(query: FlowQuery): Promise<TopFlow[]>;
    alerts(limit: number): Promise<(FleetAlert & { agent: string })[]>;
  } | null;
}

const INDEX = `ebpfmon serve
/metrics            Prometheus metrics
/healthz            200 while running
/readyz             200 while agents can be served
/api/v1/agents      who sends, and what came of them
/api/v1/groups      events that belong together: ?limit= &agent= &rule= &severity= &before=
/api/v1/flows/top   largest flows of the whole fleet: ?minutes= &limit= &agent= &rank=packets|bytes
/api/v1/alerts      alerts of agents: ?limit=
`;

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const MINUTES_DEFAULT = 5;
const MINUTES_MAX = 1440;

/** Makes the application. `source` is asked at each request. */
export function createFleetApp(source: FleetSource, options: GuardOptions): Hono {
  const app = createBaseApp(
    { index: INDEX, metrics: () => source.metrics(), unready: () => source.unready() },
    options,
  );
  app.get("/api/v1/agents", async (context) => {
    const live = new Map(source.live().map((status) => [status.agent, status]));
    const stored = new Map((await source.store?.agents() ?? []).map((agent) => [agent.agent, agent]));
    const names = [...new Set([...live.keys(), ...stored.keys()])].sort();
    return answer(context, { agents: names.map((name) => agentObject(name, live.get(name), stored.get(name))) });
  });
  app.get("/api/v1/groups", async (context) => {
    const query: GroupQuery = {
      limit: integer(context, "limit", LIMIT_DEFAULT, LIMIT_MAX),
      agent: context.req.query("agent") ?? null,
      rule: context.req.query("rule") ?? null,
      severity: severity(context),
      beforeUnixNs: before(context),
    };
    if (source.store === null) return noStore(context);
    const groups = await source.store.groups(query);
    return context.body(`{"groups":[${groups.join(",")}]}\n`, 200, { "content-type": "application/json" });
  });
  app.get("/api/v1/flows/top", async (context) => {
    const rank = context.req.query("rank") ?? "bytes";
    if (rank !== "packets" && rank !== "bytes") throw new BadRequest("rank takes packets or bytes");
    const query: FlowQuery = {
      minutes: integer(context, "minutes", MINUTES_DEFAULT, MINUTES_MAX),
      limit: integer(context, "limit", LIMIT_DEFAULT, LIMIT_MAX),
      agent: context.req.query("agent") ?? null,
      rank,
    };
    if (source.store === null) return noStore(context);
    const flows = await source.store.topFlows(query);
    return answer(context, { minutes: query.minutes, flows: flows.map(flowObject) });
  });
  app.get("/api/v1/alerts", async (context) => {
    const limit = integer(context, "limit", LIMIT_DEFAULT, LIMIT_MAX);
    if (source.store === null) return noStore(context);
    const alerts = await source.store.alerts(limit);
    return answer(context, {
      alerts: alerts.map(({ unixNs, fields, ...rest }) => ({ time: rfc3339(unixNs), ...rest, ...fields })),
    });
  });
  return app;
}

function answer(context: Context, object: object): Response {
  return context.body(jsonLine(object), 200, { "content-type": "application/json" });
}

function noStore(context: Context): Response {
  return problem(context, 404, "this server stores nothing: --store off was given");
}

function agentObject(agent: string, live: AgentStatus | undefined, stored: StoredAgent | undefined) {
  const lastSeenUnixMs = Math.max(live?.lastSeenUnixMs ?? 0, stored?.lastSeenUnixMs ?? 0);
  return {
    agent,
    host: live?.host ?? stored?.host ?? "",
    version: live?.version ?? stored?.version ?? "",
    connected: live?.connected ?? false,
    address: live?.address ?? null,
    last_seen: new Date(lastSeenUnixMs).toISOString(),
    ...stored && {
      first_seen: new Date(stored.firstSeenUnixMs).toISOString(),
      boot_id: stored.bootId,
      batches: stored.batches,
      events: stored.events,
    },
    ...live && {
      stream: {
        connects: live.connects,
        batches: live.batches,
        events: live.events,
        bytes: live.bytes,
        duplicates: live.duplicates,
        throttled_ms: live.throttledMs,
      },
    },
  };
}

function flowObject({ proto, ...flow }: TopFlow) {
  return { ...flow, proto: protocolName(proto) };
}

function integer(context: Context, name: string, fallback: number, max: number): number {
  const text = context.req.query(name);
  if (text === undefined) return fallback;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > max) throw new BadRequest(`${name} takes 1 to ${max}`);
  return value;
}

function severity(context: Context): Severity | null {
  const text = context.req.query("severity");
  if (text === undefined) return null;
  const found = SEVERITIES.find((severity) => severity === text);
  if (found === undefined) throw new BadRequest(`severity takes ${SEVERITIES.join(", ")}`);
  return found;
}

function before(context: Context): bigint | null {
  const text = context.req.query("before");
  if (text === undefined) return null;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new BadRequest("before takes a time like 2026-01-02T03:04:05Z");
  return BigInt(ms) * 1_000_000n;
}
