/** A quiet side into the reducer: all that a window has, in the one order that works. */
import type { Side } from "../../ffi/side.ts";
import type { DrainedMap } from "./flow_maps.ts";
import type { FlowProbe } from "./flow_probe.ts";
import type { MapBatch } from "../../wire/records.ts";
import type { FlowReducer } from "./flow_reducer.ts";

/**
 * Empties a side that is swapped out. The reducer then has the window.
 *
 * @param alsoTake is lent each batch of flows as well
 * @returns what each family's map held
 */
export function drainWindow(
  probe: Pick<FlowProbe, "drain" | "takeCounters" | "takeOverflow">,
  side: Side,
  { reducer, alsoTake }: { reducer: FlowReducer; alsoTake?: (family: 4 | 6, batch: MapBatch) => void },
): { v4: DrainedMap; v6: DrainedMap } {
  const drained = probe.drain(side, (family, batch) => {
    reducer.addBatch(family, batch);
    alsoTake?.(family, batch);
  });
  probe.takeCounters(side, (block) => reducer.addCounters(block));
  // Estimates need the sum of the overflow, which the counters have.
  if (reducer.overflowed) {
    probe.takeOverflow(side, {
      prefixes: (batch) => reducer.addPrefixes(batch),
      memory: (memory) => reducer.addEstimates(memory),
    });
  }
  return drained;
}
