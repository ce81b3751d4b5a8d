/** What every page of this program has in common: a check of the Host header, and security headers. */

import type { MiddlewareHandler } from "hono";

export interface GuardOptions {
  /** True where only this machine can connect: then requests must name this machine in their Host header. */
  loopback: boolean;
}

const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export function guard({ loopback }: GuardOptions): MiddlewareHandler {
  return async (context, next) => {
    // A page on the web can make its own name resolve to 127.0.0.1 and then read us as its own origin. It cannot make
    // the browser send another Host than that name.
    if (loopback && !isLocal(context.req.header("host") ?? new URL(context.req.url).host)) {
      const error = "this address answers to localhost, 127.0.0.1 and [::1] only";
      context.res = context.json({ error }, 403);
    } else {
      await next();
    }
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.res.headers.set(name, value);
  };
}

/** True for an address to listen on that can be reached from this machine only. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** True for a Host header, with or without a port, that names this machine. */
function isLocal(host: string): boolean {
  return isLoopback(host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase());
}
