import { RetransmitProbe } from "../aggregate/retransmits/retransmit_probe.ts";
import { broken, type CheckContext, elfOf, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

const KIND: FeatureKind = { name: "retransmits of flows", commands: ["monitor", "agent"], neededBy: [] };

/** Loads the programs that count TCP segments that are sent again. */
export function checkRetransmits(context: CheckContext): Feature[] {
  try {
    using probe = new RetransmitProbe(context.libbpf, elfOf(context, "retransmit"), { entriesMax: 16 });
    return [working(KIND, probe.way)];
  } catch (error) {
    return [broken(KIND, error, "a kernel with CONFIG_DEBUG_INFO_BTF")];
  }
}
