/** The lanes of a hop, and how a hop's events are spread over several workers. */
import type { QueueChannelDescription } from "./queue_channel.ts";
import type { SharedChannelDescription } from "./shared_channel.ts";

/** Lanes of every hop. Critical and error events take the urgent lane, so that they never wait behind others. */
export const LANES = ["urgent", "bulk"] as const;

export type Lane = typeof LANES[number];

/** The channels of one hop, in the order of LANES. */
export type Lanes = Record<Lane, ChannelSpec>;

/** `hash`: all events of a process go to one worker, in order. `round_robin`: batches go to the workers in turn. */
export type Distribution = "hash" | "round_robin";

/** What a worker needs to open a channel of either kind. */
export type ChannelSpec = SharedChannelDescription | QueueChannelDescription;
