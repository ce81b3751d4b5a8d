import { missingCapabilities } from "../ffi/capabilities.ts";
import { processLimits } from "../ffi/load_failure.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import { working } from "./check.ts";
import { COMMANDS, type Feature } from "./feature.ts";

/** Checks whether this process may load programs. Without that every other check would fail for the same reason. */
export function checkPrivileges(): Feature {
  const kind = { name: "privileges", commands: COMMANDS, neededBy: COMMANDS };
  const missing = missingCapabilities(processLimits().status);
  if (missing.length === 0) return working(kind, "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are held");
  return { ...kind, works: false, way: "", why: `${missing.join(", ")} missing`, remedy: "run it with sudo" };
}

/** The libbpf that is in use. */
export function libbpfFeature({ version, source }: Libbpf): Feature {
  return working({ name: "libbpf", commands: COMMANDS, neededBy: COMMANDS }, `version ${version}, ${source}`);
}
