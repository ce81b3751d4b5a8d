/** The lanes of a hop, and how events are spread over workers. */

import type { QueueChannelDescription } from "./queue_channel.ts";
import type { SharedChannelDescription } from "./shared_channel.ts";

/** What is urgent never waits behind the bulk: critical and error events have a lane of their own through every hop. */
export const LANES = ["urgent", "bulk"] as const;

export type Lane = typeof LANES[number];

/** The channels of one hop, in the order of LANES. */
export type Lanes = Record<Lane, ChannelSpec>;

export const DISTRIBUTIONS = ["hash", "round_robin"] as const;

export type Distribution = typeof DISTRIBUTIONS[number];

/** What crosses to a worker that opens a channel. */
export type ChannelSpec = SharedChannelDescription | QueueChannelDescription;
