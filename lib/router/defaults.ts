/** Defaults of the router's options. */
import type { RouterOptions } from "./router_messages.ts";

/** The part of the router's options that a user sets. */
export type RouterChoices = Pick<
  RouterOptions,
  "ringBytes" | "ringBytesMax" | "rateLimit" | "repeatSuppression" | "isolate" | "only"
>;

export const ROUTER_DEFAULTS: RouterChoices = {
  ringBytes: { critical: 131_072, normal: 524_288, debug: 65_536 },
  ringBytesMax: 16_777_216,
  rateLimit: 50_000,
  repeatSuppression: true,
  isolate: [],
  only: { rings: [], events: [], pid: null, uid: null, comm: null },
};

/** How often the counters of the rings are reported. */
export const HEALTH_MS = 1_000;
