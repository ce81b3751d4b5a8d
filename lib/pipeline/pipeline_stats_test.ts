import { assertEquals } from "../../tests/assert.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { unaccounted } from "./pipeline_stats.ts";

Deno.test("unaccounted() is what came in and is nowhere", () => {
  assertEquals(unaccounted(pipelineStats()), 0);
  for (const outcome of ["filtered", "aggregated", "deadLettered", "dropped", "inFlight"] as const) {
    const stats = pipelineStats();
    assertEquals(unaccounted({ ...stats, [outcome]: stats[outcome] - 1 }), 1, outcome);
    assertEquals(unaccounted({ ...stats, [outcome]: stats[outcome] + 1 }), -1, outcome);
  }
});
