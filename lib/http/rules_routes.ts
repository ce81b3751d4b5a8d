/** The rules in force over HTTP: shown to all, changed by whoever may. */
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
  /** null while there is nothing that rules could apply to. */
  source(): RulesSource | null;
  /** The secret that `authorization: Bearer` must carry; null for none. Asked for at each request. */
  token(): string | null;
  /** How long a body may take to come; absent: BODY_MS. */
  bodyMs?: number;
}

/** No rule file is longer. */
const BODY_BYTES_MAX = 4 << 20;
/** A body that never ends would keep the server, and with it the program, from ending. */
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

/** Reads no further than BODY_BYTES_MAX, whatever the headers say. */
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

/** Whoever can change rules can blind the monitor. */
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

/** In a time that tells nothing of where they differ. */
function isSame(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => new TextEncoder().encode(text));
  let difference = left.length ^ right.length;
  for (let i = 0; i < left.length; i++) difference |= left[i] ^ right[i % right.length];
  return difference === 0;
}

/** A browser sends neither without asking first, and is never answered. */
function formatOf(contentType: string): "json" | "yaml" | null {
  const type = contentType.split(";")[0].trim().toLowerCase();
  if (type === "application/json") return "json";
  return ["application/yaml", "application/x-yaml", "text/yaml"].includes(type) ? "yaml" : null;
}
