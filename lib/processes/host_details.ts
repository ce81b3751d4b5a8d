/** Details of this host's processes: lib/ffi's files behind process_details.ts. */
import { boottimeNs, monotonicNs } from "../ffi/libc.ts";
import { ProcSource } from "./proc_source.ts";
import { ProcessDetails } from "./process_details.ts";

/** Asked at the end of a window, when nothing waits that cannot. */
const WALK_SLICE_MS = 50;

export function hostProcessDetails(): ProcessDetails {
  return new ProcessDetails(new ProcSource({ walkSliceMs: WALK_SLICE_MS }), {
    sleptNs: () => Number(boottimeNs() - monotonicNs()),
    nowMs: () => performance.now(),
  });
}
