/** What the checks of `doctor` share: their input, and how a result or an error becomes a feature. */
import { refusalOf } from "../runtime/errors.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import { loadReason } from "../ffi/load_failure.ts";
import type { Feature } from "./feature.ts";

export interface CheckContext {
  libbpf: Libbpf;
  /** Folder with the compiled programs in `bpf/`. */
  assetsDir: string;
}

/** Tries features on this kernel by using them. Leaves nothing attached. */
export type Check = (context: CheckContext) => Feature[] | Promise<Feature[]>;

/** The compiled BPF object `name` of bpf/. */
export function elfOf({ assetsDir }: CheckContext, name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(`${assetsDir}/bpf/${name}.bpf.o`);
}

/** The part of a feature that does not depend on the machine. */
export type FeatureKind = Pick<Feature, "name" | "commands" | "neededBy">;

/** A feature that works. @param way how it is done on this machine */
export function working(kind: FeatureKind, way: string, { why = "", remedy = "" } = {}): Feature {
  return { ...kind, works: true, way, why, remedy };
}

/** A feature that does not work. @param remedy what to do; by default to report it, as every supported kernel has it */
export function broken(kind: FeatureKind, error: unknown, remedy = REPORT): Feature {
  const refusal = error instanceof Error ? error : new Error(String(error));
  const log = refusalOf(error)?.log ?? "";
  return { ...kind, works: false, way: "", why: loadReason(refusal), remedy, log };
}

/** Remedy for a feature that every supported kernel has. */
const REPORT = 'report it with the output of "ebpfmon doctor --debug"';
