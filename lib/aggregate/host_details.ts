/** Details of this host's processes: lib/ffi's files behind process_details.ts. */
import { boottimeNs, monotonicNs } from "../ffi/libc.ts";
import { ProcSource } from "../ffi/proc_source.ts";
import { ProcessDetails } from "./process_details.ts";

export function hostProcessDetails(): ProcessDetails {
  return new ProcessDetails(new ProcSource(), {
    sleptNs: () => Number(boottimeNs() - monotonicNs()),
    nowMs: () => performance.now(),
  });
}
