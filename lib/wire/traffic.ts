/** What the programs that count packets tell apart: directions, and packets without a flow. */

/** Where a packet was seen. */
export type Direction = "ingress" | "egress";

/** In the order of `enum flow_direction` in bpf/flow.h. */
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** Packets without a flow, in the order of `enum other_class` in bpf/flow.h. */
export const OTHER_CLASSES = ["non_ip", "truncated", "malformed", "fragment"] as const;

export type OtherClass = typeof OTHER_CLASSES[number];
