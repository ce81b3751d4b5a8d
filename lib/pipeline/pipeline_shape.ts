/** From a placement to workers and the hops between them. */
import { FIRST_NODE_WORKER, WORKERS_MAX } from "./channel/channel.ts";
import type { Distribution } from "./channel/lanes.ts";
import type { Placement } from "./pipeline_messages.ts";
import { type StageName, STAGES } from "./stage.ts";

/** A worker to be. Hops are numbered; hop 0 is where events enter. */
export interface NodeSpec {
  name: string;
  stages: StageName[];
  input: number;
  /** Several: events are spread over them. None: the last node. */
  outputs: number[];
}

export interface PipelineShape {
  hops: number;
  nodes: NodeSpec[];
  distribution: Distribution;
}

/** Nodes of a fan-out beside those that enrich: filter and aggregate. */
const OTHER_NODES = 2;

/** The most workers that may enrich. */
export const ENRICH_WORKERS_MAX = WORKERS_MAX - FIRST_NODE_WORKER - OTHER_NODES;

/** Nodes in the order in which events pass them. */
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
