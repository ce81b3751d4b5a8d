/** The stage that finds the process of each event in the cache, and updates the cache from exec and exit events. */
import { EVENT, EVENT_FLAG, EVENT_TYPE, EXEC_PAYLOAD } from "../wire/layouts.gen.ts";
import { TextCache } from "../events/types/text_cache.ts";
import type { EventBatch } from "../events/event_batch.ts";
import type { ProcessCache } from "../processes/process_cache.ts";
import type { ProcessInfo } from "../processes/process_info.ts";
import type { RecordedProcess } from "../processes/recorded_process.ts";
import type { Stage } from "./stage.ts";

const encoder = new TextEncoder();

const UID_AT = EVENT.fields.uid.offset;
const CGROUP_AT = EVENT.fields.cgroup_id.offset;
const COMM_AT = EVENT.fields.comm.offset;
const COMM_BYTES = EVENT.fields.comm.size;
const EXEC = EXEC_PAYLOAD.fields;
const TWO_32 = 2 ** 32;

/** Names and paths that are kept decoded: at most 128 KiB. */
const TEXT_SLOTS = 1024;
const TEXT_LENGTH_MAX = 128;

export class EnrichStage implements Stage {
  readonly name = "enrich";
  readonly #cache: ProcessCache;
  readonly #texts = new TextCache(TEXT_SLOTS, TEXT_LENGTH_MAX);

  constructor(cache: ProcessCache) {
    this.#cache = cache;
  }

  /** Sets `batch.process` of each event. An exec shows in its own event and those after it. */
  run(batch: EventBatch): void {
    const { lengths, offsets, data, process } = batch;
    const cache = this.#cache;
    while (batch.next < batch.count) {
      const i = batch.next;
      if (lengths[i] !== 0) {
        const type = batch.type(i);
        if (type === EVENT_TYPE.EVENT_RESOURCE_LIMIT && batch.flags(i) & EVENT_FLAG.EVENT_INCOMPLETE) {
          process[i] = this.#complete(batch, i);
          batch.next = i + 1;
          continue;
        }
        if (type === EVENT_TYPE.EVENT_PROCESS_EXEC) this.#exec(batch, i);
        const cgroupId = cgroupIdAt(data, offsets[i] + CGROUP_AT);
        process[i] = cache.find(batch.pid(i), batch.tsNs(i), batch.uid(i), cgroupId) ?? this.#meet(batch, i, cgroupId);
        if (type === EVENT_TYPE.EVENT_PROCESS_EXIT) cache.exit(batch.pid(i), batch.tsNs(i));
      }
      batch.next = i + 1;
    }
  }

  /**
   * Completes the record of a process that the kernel killed for lack of memory: name, uid and cgroup come from the
   * cache. A process that is not in the cache gets no entry, as the pid may be that of a thread.
   */
  #complete(batch: EventBatch, i: number): ProcessInfo | null {
    const known = this.#cache.recall(batch.pid(i), batch.tsNs(i));
    if (known === null) return null;
    const { bytes, data } = batch;
    const at = batch.offsets[i];
    if (bytes[at + COMM_AT] === 0) {
      encoder.encodeInto(known.name, bytes.subarray(at + COMM_AT, at + COMM_AT + COMM_BYTES - 1));
    }
    if (known.variant === null) return null;
    data.setUint32(at + UID_AT, known.variant.info.uid, true);
    data.setBigUint64(at + CGROUP_AT, BigInt(known.variant.cgroupId), true);
    return known.variant.info;
  }

  #meet(batch: EventBatch, i: number, cgroupId: number): ProcessInfo {
    return this.#cache.meet(this.#recorded(batch, i, cgroupId));
  }

  #recorded(batch: EventBatch, i: number, cgroupId: number): RecordedProcess {
    const start = batch.offsets[i] + COMM_AT;
    let end = start;
    while (end < start + COMM_BYTES && batch.bytes[end] !== 0) end++;
    return {
      pid: batch.pid(i),
      tsNs: batch.tsNs(i),
      uid: batch.uid(i),
      cgroupId,
      comm: this.#texts.decode(batch.bytes, start, end),
    };
  }

  /** Tells the cache of an exec. A record whose lengths contradict each other is treated as any other event. */
  #exec(batch: EventBatch, i: number): void {
    const { data, bytes } = batch;
    const payload = batch.offsets[i] + EVENT.size;
    const filenameAt = payload + EXEC_PAYLOAD.size;
    const end = batch.offsets[i] + batch.lengths[i];
    if (filenameAt > end) return;
    const filenameEnd = filenameAt + data.getUint16(payload + EXEC.filename_len.offset, true);
    if (filenameEnd > end) return;
    this.#cache.exec({
      ...this.#recorded(batch, i, cgroupIdAt(data, batch.offsets[i] + CGROUP_AT)),
      ppid: data.getUint32(payload + EXEC.ppid.offset, true),
      filename: this.#texts.decode(bytes, filenameAt, filenameEnd),
    });
  }
}

/** Exact below 2^53; the kernel numbers cgroups from 1 on. */
function cgroupIdAt(data: DataView<ArrayBuffer>, at: number): number {
  return data.getUint32(at + 4, true) * TWO_32 + data.getUint32(at, true);
}
