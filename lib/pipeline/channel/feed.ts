/** Where events enter a pipeline: samples of a ring are copied into the first hop's channels and are not decoded. */
import { type RingName, RINGS } from "../../events/event.ts";
import type { OutgoingRecord, Sender } from "./channel.ts";
import type { Lane } from "./lanes.ts";

/** Share of the bulk lane's room in use above which the lane counts as half full. */
const HALF_FULL = 0.5;

/** The lane that a ring's records take. */
export function laneOf(ring: RingName): Lane {
  return ring === "critical" ? "urgent" : "bulk";
}

/** The sending end of a pipeline's first hop. */
export class Feed {
  /** By lane: samples that were taken although the lane had no room. They are sent before any newer sample. */
  readonly #unsent: Record<Lane, { ring: RingName; record: Uint8Array<ArrayBuffer> }[]> = { urgent: [], bulk: [] };
  readonly #senders: Record<Lane, Sender>;
  readonly #record: OutgoingRecord = {
    data: new Uint8Array(0),
    offset: 0,
    lengthBytes: 0,
    ring: 0,
    category: 0,
    priority: 0,
    process: null,
  };

  constructor(senders: Record<Lane, Sender>) {
    this.#senders = senders;
  }

  /**
   * Copies one sample of a ring into the ring's lane. Receivers see it after the next `flush` at the latest.
   *
   * @returns false when the lane has no room and its policy is `block`: the sample has to stay in its ring
   */
  take(ring: RingName, data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): boolean {
    const lane = laneOf(ring);
    if (this.#unsent[lane].length > 0 && !this.#sendUnsent(lane)) return false;
    const record = this.#record;
    // One view of the memory for as long as it stays the same: a ring's records come thousands at a time.
    if (record.data.buffer !== data.buffer || record.data.byteOffset !== data.byteOffset) {
      record.data = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
    record.offset = offset;
    record.lengthBytes = lengthBytes;
    record.ring = RINGS.indexOf(ring);
    return this.#senders[lane].append(record);
  }

  /** Like `take`, for a ring that is about to be closed: a sample that finds no room is copied and sent later. */
  takeLast(ring: RingName, data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): void {
    if (this.take(ring, data, offset, lengthBytes)) return;
    const record = new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes).slice();
    this.#unsent[laneOf(ring)].push({ ring, record });
  }

  /** @returns true when no unsent sample of this lane is left */
  #sendUnsent(lane: Lane): boolean {
    const unsent = this.#unsent[lane];
    const fresh = { category: 0, priority: 0, process: null };
    const refused = unsent.findIndex(({ ring, record: data }) =>
      !this.#senders[lane].append({ data, offset: 0, lengthBytes: data.length, ring: RINGS.indexOf(ring), ...fresh })
    );
    unsent.splice(0, refused < 0 ? unsent.length : refused);
    return refused < 0;
  }

  /** Samples of `takeLast` that still wait in this ring's lane; `flush` sends them once the lane has room. */
  unsent(ring: RingName): number {
    return this.#unsent[laneOf(ring)].length;
  }

  /** Publishes the samples that were taken for a lane: receivers see them from now on. */
  flush(lane: Lane): void {
    this.#sendUnsent(lane);
    this.#senders[lane].flush();
  }

  /**
   * True while more than half of the bulk lane is in use. Debug events should then stay in their ring, whose programs
   * sample what they send, so that normal events keep room.
   */
  get bulkIsHalfFull(): boolean {
    return this.#senders.bulk.stats.fill > HALF_FULL;
  }

  /** @returns false after `timeoutMs` without room in the ring's lane */
  waitWritable(ring: RingName, timeoutMs: number): Promise<boolean> {
    return this.#senders[laneOf(ring)].waitWritable(timeoutMs);
  }
}
