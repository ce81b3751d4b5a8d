import { readRouterElfs } from "../router/router_programs.ts";
import { RouterProbe } from "../router/router_probe.ts";
import { ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EVENT_TYPES, type EventType } from "../events/event.ts";
import { broken, type CheckContext, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

/** The smallest rings: nothing is attached that could fill them. */
const RING_BYTES = { critical: 4_096, normal: 4_096, debug: 4_096 };

function kindOf(event: EventType): FeatureKind {
  return { name: `event ${event}`, commands: ["monitor", "events", "pipeline", "agent"], neededBy: [] };
}

/** Makes a feature for each type of event. It loads the programs, makes the rings and puts rules in force. */
export function checkEvents({ libbpf, assetsDir }: CheckContext): Feature[] {
  try {
    using probe = new RouterProbe(libbpf, readRouterElfs(assetsDir), {
      ...ROUTER_DEFAULTS,
      ringBytes: RING_BYTES,
      sources: [...EVENT_TYPES],
      rules: [],
    });
    return EVENT_TYPES.map((event): Feature => {
      const kind = kindOf(event);
      const lack = probe.lacking.find(({ source }) => source === event);
      const way = probe.ways.get(event) ?? "";
      // Of some types a part is seen: an event that may be missed is not promised.
      if (lack !== undefined) return { ...kind, works: false, way, why: lack.why, remedy: lack.remedy };
      return working(kind, way, { why: probe.limits.get(event) });
    });
  } catch (error) {
    return EVENT_TYPES.map((event) => broken(kindOf(event), error));
  }
}
