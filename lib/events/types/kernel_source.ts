/**
 * What in the kernel tells of events, and the programs of bpf/router.bpf.c and bpf/router_raw.bpf.c that listen to it.
 */

/** A tracepoint of tracefs, and the fields of its records as a program reads them. */
export interface Tracepoint {
  category: string;
  name: string;
  /** Offsets and sizes are in bytes. */
  fields: readonly { name: string; offset: number; size: number }[];
}

/** Programs that listen to one source together. */
export interface ProgramSet {
  programs: readonly string[];
  /** How events are taken, for people. */
  way: string;
  /** What these events lack since the kernel has no BTF, which is told at the start. */
  without?: string;
  /** What else they lack that the best set of programs gives. */
  limit?: string;
  /** The tracepoint that the one program of the set is attached to through tracefs. */
  tracepoint?: Tracepoint;
}

/** Something that happens in the kernel and that programs can be told of. Several types of events may share one. */
export interface KernelSource {
  name: string;
  /** What is not seen without it, as in `programs that start`. */
  unseen: string;
  /** Programs of bpf/router.bpf.c, which need the kernel's BTF; the best come first. */
  btf: readonly ProgramSet[];
  /** Programs of bpf/router_raw.bpf.c, which do not need it; empty where the source cannot be used without. */
  raw: readonly ProgramSet[];
}
