/** The rules in force over HTTP: everybody may read them, and who has the secret may change them. */
import type { Context, Hono } from "hono";
import { ruleSetObject } from "../export/rules_json.ts";
import type { GuardOptions } from "./guard.ts";
import { problem } from "./problem.ts";
import type { RuleSet } from "../events/rule_set.ts";

export interface RulesSource {
  readonly active: { own: RuleSet; generation: number; source: string; sinceUnixMs: number };
  put(text: string, format: "json" | "yaml"): Promise<RulesSource["active"]>;
}

export interface RulesPage {
  /** The rules in force; null while no events are watched. */
  source(): RulesSource | null;
  /** The secret that `authorization: Bearer` must carry; null where none is needed. Asked for at each request. */
  token(): string | null;
  /** How long a body may take to arrive, in milliseconds; absent: BODY_MS. */
  bodyMs?: number;
}

/** Longest body in bytes; no file of rules is longer. */
const BODY_BYTES_MAX = 4 << 20;
/**
 * How long a body may take to arrive: one that never ends would keep the server, and with it the program, from ending.
 */
const BODY_MS = 10_000;

export function addRulesRoutes(app: Hono, page: RulesPage, guarded: GuardOptions): void {
  app.get("/api/v1/rules", (context) => {
    const rules = page.source();
    return rules === null ? problem(context, 404, "no events are watched") : context.json(show(rules.active));
  });
  app.put("/api/v1/rules", async (context) => {
    const refusal = refusalOf(context, page, guarded);
    if (refusal !== null) return refusal;
    const rules = page.source();
    if (rules === null) return problem(context, 404, "no events are watched");
    const format = formatOf(context.req.header("content-type") ?? "");
    if (format === null) return problem(context, 415, "send application/json or application/yaml");
    const body = await readBody(context.req.raw.body, page.bodyMs ?? BODY_MS);
    if (body === "late") return problem(context, 408, "the body did not come in time");
    if (body === "long") return problem(context, 413, `rules take at most ${BODY_BYTES_MAX} bytes`);
    const text = new TextDecoder().decode(body);
    try {
      return context.json(show(await rules.put(text, format)));
    } catch (error) {
      return problem(context, error instanceof SyntaxError ? 400 : 422, (error as Error).message);
    }
  });
}

/** Reads a body, but no further than BODY_BYTES_MAX, whatever the headers say. */
async function readBody(
  body: ReadableStream<Uint8Array> | null,
  timeoutMs: number,
): Promise<Uint8Array<ArrayBuffer> | "late" | "long"> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    // The read under way then ends; whatever else comes of it is of no interest.
    reader.cancel().catch(() => {});
  }, timeoutMs);
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (isLate) return "late";
      if (done) break;
      lengthBytes += value.length;
      if (lengthBytes > BODY_BYTES_MAX) {
        reader.cancel().catch(() => {});
        return "long";
      }
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
  const whole = new Uint8Array(lengthBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function show({ own, generation, source, sinceUnixMs }: RulesSource["active"]) {
  return { generation, source, since: new Date(sinceUnixMs).toISOString(), ...ruleSetObject(own) };
}

/** The refusal of a request that may not change rules, or null. Who can change rules can blind the monitor. */
function refusalOf(context: Context, { token }: RulesPage, { loopback }: GuardOptions): Response | null {
  let secret: string | null;
  try {
    secret = token();
  } catch {
    return problem(context, 503, "the token's file cannot be read");
  }
  if (secret === null) {
    if (loopback) return null;
    return problem(context, 403, "rules are changed from this machine only, or with --api-token-file");
  }
  const given = /^Bearer (.+)$/.exec(context.req.header("authorization") ?? "")?.[1] ?? "";
  if (isSame(given, secret)) return null;
  context.header("www-authenticate", "Bearer");
  return problem(context, 401, "a token is needed: authorization: Bearer TOKEN");
}

/** Compares two texts in a time that does not depend on where they differ. */
function isSame(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => new TextEncoder().encode(text));
  let difference = left.length ^ right.length;
  for (let i = 0; i < left.length; i++) difference |= left[i] ^ right[i % right.length];
  return difference === 0;
}

/**
 * The format that a content type names, or null. A browser asks before it sends one of these types, and gets no
 * permission.
 */
function formatOf(contentType: string): "json" | "yaml" | null {
  const type = contentType.split(";")[0].trim().toLowerCase();
  if (type === "application/json") return "json";
  return ["application/yaml", "application/x-yaml", "text/yaml"].includes(type) ? "yaml" : null;
}
