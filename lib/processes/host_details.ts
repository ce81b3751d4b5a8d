/** Details of this host's processes: process_details.ts with /proc and the kernel's clocks behind it. */
import { boottimeNs, monotonicNs } from "../ffi/libc.ts";
import { ProcSource } from "./proc_source.ts";
import { ProcessDetails } from "./process_details.ts";

/**
 * The length of a slice of the walk over cgroups. Details are asked for at the end of a window, when nothing urgent
 * waits.
 */
const WALK_SLICE_MS = 50;

export function hostProcessDetails(): ProcessDetails {
  return new ProcessDetails(new ProcSource({ walkSliceMs: WALK_SLICE_MS }), {
    sleptNs: () => Number(boottimeNs() - monotonicNs()),
    nowMs: () => performance.now(),
  });
}
