/**
 * Two sides of everything that a program fills, and one word that says which side it fills now. Userspace flips the
 * word, waits until no running program can still hold the old value, and then owns the old side alone.
 */
import type { BpfMap } from "./bpf_map.ts";

export type Side = 0 | 1;

export class Switchover {
  readonly #active: Uint32Array<ArrayBuffer>;
  readonly #fence: { outer: BpfMap; inner: BpfMap };

  /**
   * @param active one element, in memory shared with the programs, which read it once a run
   * @param fence a map of maps and the inner map in its slot 0: writing it there again makes the kernel wait
   */
  constructor(active: Uint32Array<ArrayBuffer>, fence: { outer: BpfMap; inner: BpfMap }) {
    this.#active = active;
    this.#fence = fence;
  }

  /** The side that programs fill. */
  get active(): Side {
    return (Atomics.load(this.#active, 0) & 1) as Side;
  }

  /** Everything that shares the word changes side in this one store. @returns the side that was active */
  flip(): Side {
    const old = this.active;
    // Pairs with the programs' single read of active_side.
    Atomics.store(this.#active, 0, old ^ 1);
    return old;
  }

  /**
   * Returns when every program that may have read the word before the last flip has ended: an update of a map of maps
   * waits for an RCU grace period (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
   */
  quiesce(): void {
    this.#fence.outer.putInner(0, this.#fence.inner);
  }
}
