import { Hono } from "hono";
import { assertEquals, assertLess, assertMatch } from "../../tests/assert.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { parseRuleSet } from "../events/rules.ts";
import { addRulesRoutes, type RulesSource } from "./rules_routes.ts";

class Source implements RulesSource {
  active = { own: { rules: [] } as RuleSet, generation: 1, source: "start", sinceUnixMs: 0 };

  // deno-lint-ignore require-await
  async put(text: string, format: "json" | "yaml"): Promise<RulesSource["active"]> {
    if (text.includes("FULL")) throw new Error("no room");
    this.active = { own: parseRuleSet(text, format, "rules"), generation: 2, source: "api", sinceUnixMs: 1000 };
    return this.active;
  }
}

interface Access {
  bodyMs: number;
  loopback: boolean;
  token: () => string | null;
}

function app(access: Partial<Access> = {}, source: Source | null = new Source()): Hono {
  const { loopback, token } = { loopback: true, token: () => null, ...access };
  const hono = new Hono();
  addRulesRoutes(hono, { source: () => source, token, bodyMs: access.bodyMs }, { loopback });
  return hono;
}

function put(to: Hono, body: string, headers: Record<string, string> = { "content-type": "application/json" }) {
  return to.request("/api/v1/rules", { method: "PUT", body, headers });
}

Deno.test("GET /api/v1/rules shows the rules in force and their generation", async () => {
  const response = await app().request("/api/v1/rules");
  assertEquals(await response.json(), {
    generation: 1,
    source: "start",
    since: "1970-01-01T00:00:00.000Z",
    rules: [],
  });
  assertEquals((await app({}, null).request("/api/v1/rules")).status, 404);
});

Deno.test("PUT /api/v1/rules takes JSON and YAML, and answers with what is in force then", async () => {
  const json = await put(app(), '{"rate_limit": 5}');
  assertEquals([json.status, await json.json()], [200, {
    generation: 2,
    source: "api",
    since: "1970-01-01T00:00:01.000Z",
    rules: [],
    rate_limit: 5,
  }]);
  const yaml = await put(app(), "rate_limit: 6", { "content-type": "application/yaml; charset=utf-8" });
  assertEquals((await yaml.json()).rate_limit, 6);
});

Deno.test("PUT /api/v1/rules says what is wrong, and with whom", async () => {
  const source = new Source();
  const to = app({}, source);
  const wrong = await put(to, '{"rules": [{}]}');
  assertEquals(wrong.status, 400);
  assertMatch((await wrong.json()).error, /^rules:1:12: the rule has no name$/);
  const full = await put(to, "# FULL", { "content-type": "text/yaml" });
  assertEquals([full.status, (await full.json()).error], [422, "no room"]);
  for (const type of ["text/plain", "application/x-www-form-urlencoded", ""]) {
    assertEquals((await put(to, "{}", { "content-type": type })).status, 415, type);
  }
  assertEquals((await put(to, "x".repeat((4 << 20) + 1))).status, 413);
  assertEquals(source.active.generation, 1);
});

Deno.test("PUT /api/v1/rules waits for no body that does not end, and reads none that is too long", async () => {
  const putStream = (to: Hono, body: ReadableStream<Uint8Array>) =>
    to.request("/api/v1/rules", { method: "PUT", body, headers: { "content-type": "application/json" } });
  let cancelled = 0;
  const endless = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
    cancel: () => void cancelled++,
  });
  assertEquals((await putStream(app({ bodyMs: 20 }), endless)).status, 408);
  let sentBytes = 0;
  const long = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(1 << 20));
      sentBytes += 1 << 20;
    },
    cancel: () => void cancelled++,
  });
  assertEquals((await putStream(app(), long)).status, 413);
  assertLess(sentBytes, 8 << 20);
  assertEquals(cancelled, 2);
});

Deno.test("rules are changed from this machine, or with the token", async () => {
  assertEquals((await put(app({ loopback: false }), "{}")).status, 403);
  const guarded = app({ loopback: false, token: () => "secret" });
  const headers = { "content-type": "application/json" };
  const refused = await put(guarded, '{"rules":[]}', headers);
  assertEquals([refused.status, refused.headers.get("www-authenticate")], [401, "Bearer"]);
  for (const authorization of ["Bearer secre", "Bearer secrets", "Basic secret", "Bearer "]) {
    assertEquals((await put(guarded, '{"rules":[]}', { ...headers, authorization })).status, 401, authorization);
  }
  const authorization = "Bearer secret";
  assertEquals((await put(guarded, '{"rules":[]}', { ...headers, authorization })).status, 200);
  const unreadable = app({
    token: () => {
      throw new Error("gone");
    },
  });
  assertEquals((await put(unreadable, "{}", { ...headers, authorization })).status, 503);
});
