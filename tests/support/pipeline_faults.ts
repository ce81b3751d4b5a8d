/** What can go wrong in a pipeline under test: told to faulty_pipeline_worker.ts in the environment. */

export interface Fault {
  /**
   * `throw`: on each event whose number is a multiple of `number`. The others happen once, at the event of that number,
   * and again for as often as `deaths` says: `die` breaks the stage, `microtask` and `timer` throw where
   * no stage is on the stack, `hang` takes two seconds to come back from the stage, `spin` never does: its thread ends
   * with the process alone. `die_always`: at the first event of
   * each batch. `start`: each worker of the node breaks before it has begun.
   */
  kind: "throw" | "die" | "hang" | "spin" | "microtask" | "timer" | "die_always" | "start" | "none";
  /** The node that has it, or how the names of several begin. */
  node: string;
  number: number;
  /** Workers that die of it. */
  deaths: number;
}

export const NO_FAULT: Fault = { kind: "none", node: "", number: 0, deaths: 0 };

const VARIABLE = "EBPFMON_TEST_FAULT";

/** For workers that start from now on. An address of its own for each fault would have each checked and compiled anew. */
export function setFault(fault: Fault): void {
  Deno.env.set(VARIABLE, JSON.stringify(fault));
}

export function clearFault(): void {
  Deno.env.delete(VARIABLE);
}

/** In a worker. */
export function currentFault(): Fault {
  return JSON.parse(Deno.env.get(VARIABLE)!);
}
