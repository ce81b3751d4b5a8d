import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { metricsSnapshot } from "../../tests/support/windows.ts";
import { jsonLine, windowObject } from "../export/json_lines.ts";
import { createApp, type HttpSnapshot } from "./app.ts";
import { isLoopback } from "./guard.ts";

function snapshot(overrides: Partial<HttpSnapshot> = {}): HttpSnapshot {
  return { attached: true, host: "h", filtered: false, metrics: metricsSnapshot(), ...overrides };
}

function request(path: string, init: RequestInit & { snapshot?: HttpSnapshot; loopback?: boolean } = {}) {
  return createApp(() => init.snapshot ?? snapshot(), { loopback: init.loopback ?? true }).request(path, init);
}

Deno.test("GET /metrics is Prometheus text", async () => {
  const response = await request("/metrics");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assertStringIncludes(await response.text(), "\nebpfmon_windows_total 1\n");
});

Deno.test("GET /healthz is 200 before and after attaching, /readyz only after", async () => {
  for (const [attached, ready] of [[false, 503], [true, 200]] as const) {
    assertEquals((await request("/healthz", { snapshot: snapshot({ attached }) })).status, 200);
    assertEquals((await request("/readyz", { snapshot: snapshot({ attached }) })).status, ready);
  }
});

Deno.test("GET /api/v1/windows/latest is the window line", async () => {
  const response = await request("/api/v1/windows/latest", { snapshot: snapshot({ filtered: true }) });
  assertEquals(response.headers.get("content-type"), "application/json");
  assertEquals(await response.text(), jsonLine(windowObject("h", metricsSnapshot().lastWindow!, true)));
});

Deno.test("GET /api/v1/windows/latest before the first window is a JSON 404", async () => {
  const response = await request("/api/v1/windows/latest", {
    snapshot: snapshot({ metrics: metricsSnapshot({ lastWindow: null }) }),
  });
  assertEquals(response.status, 404);
  assertEquals(await response.json(), { error: "no window is complete yet" });
});

Deno.test("GET / lists the pages, and each of them answers", async () => {
  const index = await (await request("/")).text();
  for (const path of index.match(/^\/\S+/gm) ?? []) assertEquals((await request(path)).status, 200, path);
});

Deno.test("unknown paths and methods are a JSON 404", async () => {
  for (const [path, method] of [["/nope", "GET"], ["/metrics", "POST"], ["/../etc/passwd", "GET"]]) {
    const response = await request(path, { method });
    assertEquals(response.status, 404);
    assertEquals(await response.json(), { error: "no such page; see /" });
  }
});

Deno.test("every answer has the security headers", async () => {
  for (const init of [{}, { method: "POST" }, { headers: { host: "evil.example" } }]) {
    const { headers } = await request("/metrics", init);
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assertEquals(headers.get("cache-control"), "no-store");
  }
});

Deno.test("a loopback listener answers only to names of this machine", async () => {
  const cases: Record<string, number> = {
    "localhost": 200,
    "LOCALHOST:9464": 200,
    "127.0.0.1": 200,
    "127.0.0.1:1": 200,
    "[::1]": 200,
    "[::1]:9464": 200,
    "evil.example": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.evil.example:9464": 403,
    "evil.example:127": 403,
    "": 403,
    "10.0.0.1": 403,
  };
  for (const [host, status] of Object.entries(cases)) {
    const response = await request("/metrics", { headers: { host } });
    assertEquals(response.status, status, host);
    await response.body?.cancel();
  }
});

Deno.test("a listener on other addresses answers to any name", async () => {
  assertEquals((await request("/healthz", { headers: { host: "node1.example" }, loopback: false })).status, 200);
});

Deno.test("an error while taking the snapshot is a JSON 500", async () => {
  const app = createApp(() => {
    throw new Error("worker gone");
  }, { loopback: false });
  const response = await app.request("/metrics");
  assertEquals(response.status, 500);
  assertEquals(await response.json(), { error: "worker gone" });
});

Deno.test("isLoopback() holds for loopback addresses only", () => {
  assertEquals(
    ["127.0.0.1", "127.9.9.9", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.x"].map(isLoopback),
    [true, true, true, true, false, false, false, false],
  );
});
