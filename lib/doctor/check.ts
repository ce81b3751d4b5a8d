/** What the checks of `doctor` share: what they are given, and how a refusal becomes a feature that does not work. */
import { refusalOf } from "../runtime/errors.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import { loadReason } from "../ffi/load_failure.ts";
import type { Feature } from "./feature.ts";

export interface CheckContext {
  libbpf: Libbpf;
  /** Folder with the compiled programs in `bpf/`. */
  assetsDir: string;
}

/** Tries features for real, on this kernel. Leaves nothing attached. */
export type Check = (context: CheckContext) => Feature[] | Promise<Feature[]>;

/** The compiled program set `name` of bpf/. */
export function elfOf({ assetsDir }: CheckContext, name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(`${assetsDir}/bpf/${name}.bpf.o`);
}

/** What every feature of one check has in common. */
export type FeatureKind = Pick<Feature, "name" | "commands" | "neededBy">;

export function working(kind: FeatureKind, way: string, { why = "", remedy = "" } = {}): Feature {
  return { ...kind, works: true, way, why, remedy };
}

/** @param remedy what to do; the default suits what no kernel that ebpfmon supports refuses */
export function broken(kind: FeatureKind, error: unknown, remedy = REPORT): Feature {
  const refusal = error instanceof Error ? error : new Error(String(error));
  const log = refusalOf(error)?.log ?? "";
  return { ...kind, works: false, way: "", why: loadReason(refusal), remedy, log };
}

/** For what ought to work on every supported kernel. */
const REPORT = 'report it with the output of "ebpfmon doctor --debug"';
