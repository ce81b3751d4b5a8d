import { RouterProbe } from "../ffi/router_probe.ts";
import { ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EVENT_TYPES, type EventType } from "../router/protocol.ts";
import { broken, type CheckContext, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

/** The smallest rings: nothing is attached that could fill them. */
const RING_BYTES = { critical: 4_096, normal: 4_096, debug: 4_096 };

function kindOf(event: EventType): FeatureKind {
  return { name: `event ${event}`, commands: ["monitor", "events", "pipeline", "agent"], neededBy: [] };
}

/** A feature for each type of event: loads its programs, makes the rings and puts rules in force. */
export function checkEvents({ libbpf, assetsDir }: CheckContext): Feature[] {
  try {
    using probe = RouterProbe.open(libbpf, assetsDir, {
      ...ROUTER_DEFAULTS,
      ringBytes: RING_BYTES,
      sources: [...EVENT_TYPES],
      rules: [],
    });
    return EVENT_TYPES.map((event) => {
      const kind = kindOf(event);
      const way = probe.ways.get(event);
      const lack = probe.lacking.find(({ source }) => source === event);
      if (way === undefined) return { ...broken(kind, lack?.error ?? new Error("there is no program for it")) };
      return working(kind, way, { why: lack?.error.message });
    });
  } catch (error) {
    return EVENT_TYPES.map((event) => broken(kindOf(event), error));
  }
}
