/** The shape of a pipeline: which nodes a placement makes, and which hops lead from one to the next. */
import { FIRST_NODE_WORKER, WORKERS_MAX } from "./channel/channel.ts";
import type { Distribution } from "./channel/lanes.ts";
import type { Placement } from "./pipeline_messages.ts";
import { type StageName, STAGES } from "./stage.ts";

/** A node that is not started yet. Hops are numbered; events enter at hop 0. */
export interface NodeSpec {
  name: string;
  stages: StageName[];
  /** The hop that the node receives from. */
  input: number;
  /** The hops that the node sends to. Events are spread over several; the last node has none. */
  outputs: number[];
}

export interface PipelineShape {
  /** How many hops there are. */
  hops: number;
  nodes: NodeSpec[];
  distribution: Distribution;
}

/** Nodes of a fan-out that do not enrich: filter and aggregate. */
const OTHER_NODES = 2;

/** Upper bound of the workers that enrich. */
export const ENRICH_WORKERS_MAX = WORKERS_MAX - FIRST_NODE_WORKER - OTHER_NODES;

/** @returns the hops, and the nodes in the order in which events pass them */
export function shapeOf(placement: Placement): PipelineShape {
  switch (placement.kind) {
    case "one":
      return {
        hops: 1,
        nodes: [{ name: "pipeline", stages: [...STAGES], input: 0, outputs: [] }],
        distribution: "hash",
      };
    case "each":
      return {
        hops: STAGES.length,
        nodes: STAGES.map((stage, i) => ({
          name: stage,
          stages: [stage],
          input: i,
          outputs: i + 1 < STAGES.length ? [i + 1] : [],
        })),
        distribution: "hash",
      };
    case "fan_out": {
      const { enrichWorkers, distribution } = placement;
      const enrichHops = Array.from({ length: enrichWorkers }, (_, i) => 1 + i);
      const last = 1 + enrichWorkers;
      return {
        hops: last + 1,
        nodes: [
          { name: "filter", stages: ["filter"], input: 0, outputs: enrichHops },
          ...enrichHops.map((hop): NodeSpec => ({
            name: `enrich ${hop}`,
            stages: ["enrich"],
            input: hop,
            outputs: [last],
          })),
          { name: "aggregate", stages: ["aggregate"], input: last, outputs: [] },
        ],
        distribution,
      };
    }
    default:
      return placement satisfies never;
  }
}
