/** What servers and workers of a fleet that share a JetStream agree on. Types, names and limits only. */
import type { TlsFiles } from "../../tls.ts";

export interface NatsOptions {
  /** `nats://HOST:PORT` or `tls://HOST:PORT`. */
  servers: string[];
  tls: TlsFiles | null;
  credentialsFile: string | null;
  /** Nodes that keep each message. */
  replicas: number;
  /** The same for everybody. */
  partitions: number;
  /** Of the stream of batches. */
  bytesMax: number;
}

/** Batches: `ebpfmon.v1.batch.PARTITION.PART.AGENT`. */
export const BATCH_STREAM = "EBPFMON_BATCHES";
export const BATCH_SUBJECT = "ebpfmon.v1.batch";
/** Groups that were closed: `ebpfmon.v1.group.PARTITION`. */
export const GROUP_STREAM = "EBPFMON_GROUPS";
export const GROUP_SUBJECT = "ebpfmon.v1.group";
/** Checkpoints of the partitions: `ebpfmon.v1.state.PARTITION`, and their chunks below it. */
export const STATE_STREAM = "EBPFMON_STATE";
export const STATE_SUBJECT = "ebpfmon.v1.state";
/** Who works on which partition, and who is there: what is not renewed is gone. */
export const LEASE_STREAM = "EBPFMON_LEASES";
export const LEASE_SUBJECT = "ebpfmon.v1.lease";

/** For an answer that the stream has a message. */
export const PUBLISH_MS = 5000;

/** Headers of a message with a batch. */
export const HEADERS = {
  agent: "Ebpfmon-Agent",
  spool: "Ebpfmon-Spool",
  host: "Ebpfmon-Host",
  version: "Ebpfmon-Version",
  boot: "Ebpfmon-Boot",
  lane: "Ebpfmon-Lane",
  sequence: "Ebpfmon-Sequence",
  events: "Ebpfmon-Events",
  received: "Ebpfmon-Received",
  /** Where in the whole batch its records stand, `0,3,7`; absent where it is whole. */
  places: "Ebpfmon-Places",
} as const;
