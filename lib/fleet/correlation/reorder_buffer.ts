/** Holds records back and gives them out by time: a binary heap with the earliest at its root. */
import { isBefore, type Timed } from "./record.ts";

export class ReorderBuffer {
  #heap: Timed[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The time of the earliest, or infinity. */
  get earliestUs(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].timeUs;
  }

  add(timed: Timed): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timed);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timed, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = timed;
  }

  /** Takes the earliest out. */
  take(): Timed | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }

  save(): Timed[] {
    return this.#heap;
  }

  load(heap: Timed[]): void {
    this.#heap = heap;
  }
}
