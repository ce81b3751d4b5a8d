import { SocketOwnerProbe } from "../aggregate/owners/socket_owner_probe.ts";
import { broken, type CheckContext, elfOf, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

const KIND: FeatureKind = { name: "owners of flows", commands: ["monitor", "agent"], neededBy: [] };

/** Loads the programs that note which process uses which socket. */
export function checkOwners(context: CheckContext): Feature[] {
  try {
    using probe = new SocketOwnerProbe(context.libbpf, elfOf(context, "socket_owner"), { ownersMax: 1_024 });
    return [working(KIND, probe.way, { why: probe.notices.join("; ") })];
  } catch (error) {
    return [broken(KIND, error, "a kernel with CONFIG_DEBUG_INFO_BTF")];
  }
}
