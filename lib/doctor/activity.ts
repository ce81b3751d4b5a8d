import { ProcessProbe } from "../aggregate/activity/process_probe.ts";
import { broken, type CheckContext, elfOf, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

const KIND: FeatureKind = {
  name: "system calls by process",
  commands: ["top", "monitor"],
  neededBy: ["top"],
};

/** Loads the programs that count system calls. */
export function checkActivity(context: CheckContext): Feature[] {
  try {
    const options = { entriesMax: 16, sampling: 1 };
    using probe = new ProcessProbe(context.libbpf, (name) => elfOf(context, name), options);
    return [working(KIND, probe.way, { why: probe.limits.join("; ") })];
  } catch (error) {
    return [broken(KIND, error)];
  }
}
