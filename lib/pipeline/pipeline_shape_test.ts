import { assertEquals, assertLessOrEqual } from "../../tests/assert.ts";
import { FIRST_NODE_WORKER, WORKERS_MAX } from "./channel/channel.ts";
import { ENRICH_WORKERS_MAX, shapeOf } from "./pipeline_shape.ts";
import type { Placement } from "./pipeline_messages.ts";
import { STAGES } from "./stage.ts";

const PLACEMENTS: Placement[] = [
  { kind: "one" },
  { kind: "each" },
  { kind: "fan_out", enrichWorkers: 1, distribution: "hash" },
  { kind: "fan_out", enrichWorkers: 3, distribution: "round_robin" },
  { kind: "fan_out", enrichWorkers: ENRICH_WORKERS_MAX, distribution: "hash" },
];

Deno.test("shapeOf() gives every hop one node that reads it, and the first alone nobody who writes to it", () => {
  for (const placement of PLACEMENTS) {
    const { hops, nodes } = shapeOf(placement);
    assertEquals(nodes.map(({ input }) => input).sort((a, b) => a - b), Array.from({ length: hops }, (_, hop) => hop));
    const written = new Set(nodes.flatMap(({ outputs }) => outputs));
    assertEquals([...written].sort((a, b) => a - b), Array.from({ length: hops - 1 }, (_, i) => i + 1));
  }
});

Deno.test("shapeOf() makes no more nodes than channels have room for", () => {
  for (const placement of PLACEMENTS) {
    assertLessOrEqual(FIRST_NODE_WORKER + shapeOf(placement).nodes.length, WORKERS_MAX);
  }
});

Deno.test("shapeOf() leads every event through all stages once, in order, whichever way it takes", () => {
  for (const placement of PLACEMENTS) {
    const { nodes } = shapeOf(placement);
    const pathsFrom = (hop: number): string[][] => {
      const node = nodes.find(({ input }) => input === hop)!;
      if (node.outputs.length === 0) return [node.stages];
      return node.outputs.flatMap(pathsFrom).map((path) => [...node.stages, ...path]);
    };
    const paths = pathsFrom(0);
    assertEquals(paths, Array(placement.kind === "fan_out" ? placement.enrichWorkers : 1).fill([...STAGES]));
  }
});

Deno.test("shapeOf() names every node once, and the last node is the only one without an output", () => {
  for (const placement of PLACEMENTS) {
    const { nodes, distribution } = shapeOf(placement);
    assertEquals(new Set(nodes.map(({ name }) => name)).size, nodes.length);
    assertEquals(nodes.filter(({ outputs }) => outputs.length === 0), [nodes.at(-1)!]);
    assertEquals(distribution, placement.kind === "fan_out" ? placement.distribution : "hash");
  }
});
