import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { createFleetApp, type FleetSource } from "./fleet_app.ts";

const SOURCE: FleetSource = {
  unready: () => null,
  metrics: () => Promise.resolve("a 1\n"),
  live: () => [{
    agent: "b",
    host: "host b",
    version: "1",
    address: "192.0.2.1:1",
    connected: true,
    connects: 1,
    batches: 2,
    events: 20,
    bytes: 200,
    duplicates: 0,
    throttledMs: 0,
    lastSeenUnixMs: 1_700_000_000_000,
  }],
  store: {
    agents: () =>
      Promise.resolve([{
        agent: "a",
        host: "host a",
        version: "1",
        bootId: "boot",
        firstSeenUnixMs: 1_600_000_000_000,
        lastSeenUnixMs: 1_650_000_000_000,
        batches: 5,
        events: 50,
      }]),
    groups: (query) => Promise.resolve([JSON.stringify({ ...query, beforeUnixNs: String(query.beforeUnixNs) })]),
    topFlows: ({ limit, agent }) =>
      Promise.resolve([{
        ...{ agent: agent ?? "a", iface: "eth0", direction: "egress" as const, src: "192.0.2.1", dst: "192.0.2.2" },
        ...{ sport: 1, dport: 443, proto: 6, packets: limit, bytes: 2 ** 40 },
      }]),
    alerts: () =>
      Promise.resolve([{
        ...{ agent: "a", alert: "flow_overflow", level: "warning" as const, message: "full" },
        ...{ fields: { packets: 3 }, unixNs: 1_700_000_000_000_000_001n },
      }]),
  },
};

async function get(path: string, source: Partial<FleetSource> = {}) {
  const app = createFleetApp({ ...SOURCE, ...source }, { loopback: true });
  const response = await app.request(`http://127.0.0.1:9466${path}`);
  const text = await response.text();
  return { status: response.status, text, json: () => JSON.parse(text) };
}

Deno.test("/readyz says what is missing, /healthz is well all the time", async () => {
  assertEquals((await get("/readyz")).status, 200);
  const { status, text } = await get("/readyz", { unready: () => "no connection to NATS" });
  assertEquals([status, text], [503, "no connection to NATS\n"]);
  assertEquals((await get("/healthz", { unready: () => "stopping" })).status, 200);
});

Deno.test("/api/v1/agents has those with a stream and those in the store", async () => {
  const { agents } = (await get("/api/v1/agents")).json();
  assertEquals(
    agents.map(({ agent, host, connected, batches }: Record<string, unknown>) => [agent, host, connected, batches]),
    [
      ["a", "host a", false, 5],
      ["b", "host b", true, undefined],
    ],
  );
  assertEquals(agents[0].first_seen, "2020-09-13T12:26:40.000Z");
  assertEquals(agents[1].stream.events, 20);
});

Deno.test("/api/v1/groups passes on what is asked, and refuses what makes no sense", async () => {
  const { groups } = (await get("/api/v1/groups?limit=5&agent=a&rule=r&severity=error&before=2026-01-02T03:04:05Z"))
    .json();
  assertEquals(groups, [
    { limit: 5, agent: "a", rule: "r", severity: "error", beforeUnixNs: "1767323045000000000" },
  ]);
  for (const query of ["limit=0", "limit=1001", "limit=x", "severity=bad", "before=then"]) {
    const { status, text } = await get(`/api/v1/groups?${query}`);
    assertEquals(status, 400, query);
    assertStringIncludes(text, `${query.split("=")[0]} takes`);
  }
});

Deno.test("/api/v1/flows/top and /api/v1/alerts show what the store has", async () => {
  const { flows, minutes } = (await get("/api/v1/flows/top?limit=7&agent=b&rank=packets&minutes=9")).json();
  assertEquals(minutes, 9);
  assertEquals(flows, [{
    ...{ agent: "b", iface: "eth0", direction: "egress", src: "192.0.2.1", dst: "192.0.2.2", sport: 1, dport: 443 },
    ...{ packets: 7, bytes: 2 ** 40, proto: "tcp" },
  }]);
  assertEquals((await get("/api/v1/flows/top?rank=size")).status, 400);
  const { alerts } = (await get("/api/v1/alerts")).json();
  assertEquals(alerts[0].time, "2023-11-14T22:13:20.000000001Z");
  assertEquals([alerts[0].agent, alerts[0].packets], ["a", 3]);
});

Deno.test("a server that stores nothing says so, and other hosts' names are not answered to", async () => {
  for (const path of ["/api/v1/groups", "/api/v1/flows/top", "/api/v1/alerts"]) {
    assertEquals((await get(path, { store: null })).status, 404);
  }
  assertEquals((await get("/api/v1/agents", { store: null })).json().agents.length, 1);
  const app = createFleetApp(SOURCE, { loopback: true });
  assertEquals((await app.request("http://evil.example/metrics")).status, 403);
});
