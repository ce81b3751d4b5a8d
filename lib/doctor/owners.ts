import { SocketOwnerProbe } from "../ffi/socket_owner_probe.ts";
import { broken, type CheckContext, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

const KIND: FeatureKind = { name: "owners of flows", commands: ["monitor", "agent"], neededBy: [] };

/** Loads the programs that note which process uses which socket. */
export function checkOwners({ libbpf, assetsDir }: CheckContext): Feature[] {
  try {
    using probe = SocketOwnerProbe.open(libbpf, assetsDir, { ownersMax: 1_024 });
    return [working(KIND, probe.way, { why: probe.notices.join("; ") })];
  } catch (error) {
    return [broken(KIND, error)];
  }
}
