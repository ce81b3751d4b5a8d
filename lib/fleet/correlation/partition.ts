/**
 * Who works on what, when several workers share a stream. What happens on one host, lineages, bursts and pressure,
 * depends on the order of that host's records and on nothing else: its key is the host, not the process, because a
 * record does not name the root of its lineage. A connection has two hosts, so its key is the five-tuple in canonical
 * order, which both ends write alike.
 *
 * A record that speaks of a connection between hosts has both keys and is sent twice; each copy says which part of the
 * work it is for, and the worker passes that to `CorrelationEngine.add`. A flow concerns nothing but its connection.
 */
import { connectionViewOf } from "./connection.ts";
import type { FleetRecord } from "./correlated_group.ts";
import { isFlow } from "./record.ts";

export type CorrelationPart = "host" | "connection";

export interface PartitionKey {
  part: CorrelationPart;
  /** Equal keys go to one worker. */
  key: string;
}

/** The keys of a record: none where no rule could ever use it. */
export function partitionKeys(record: FleetRecord): PartitionKey[] {
  const keys: PartitionKey[] = [];
  if (!isFlow(record)) keys.push({ part: "host", key: `host/${record.agent}` });
  const view = connectionViewOf(record);
  if (view !== null) keys.push({ part: "connection", key: `connection/${view.connection}` });
  return keys;
}

/** The partition of a key, from 0 to `partitions` - 1: the same everywhere. FNV-1a of its UTF-16 units. */
export function partitionOf({ key }: PartitionKey, partitions: number): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x0100_0193);
  return (hash >>> 0) % partitions;
}
