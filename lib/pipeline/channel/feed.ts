/** Where events enter a pipeline: samples of a ring, copied into the first hop's channels without being looked at. */
import { type RingName, RINGS } from "../../events/event.ts";
import type { OutgoingRecord, Sender } from "./channel.ts";
import type { Lane } from "./lanes.ts";

/** Above this share of the bulk lane in use, debug events wait in their ring, whose programs then sample them. */
const PRESSED_FILL = 0.5;

/** Which lane a ring's records take. */
export function laneOf(ring: RingName): Lane {
  return ring === "critical" ? "urgent" : "bulk";
}

/** The sending end of a pipeline's first hop. */
export class Feed {
  /** By lane: samples that had to be taken although there was no room. They go first. */
  readonly #carried: Record<Lane, { ring: RingName; record: Uint8Array<ArrayBuffer> }[]> = { urgent: [], bulk: [] };
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
   * Takes one sample of a ring; it leaves with the next `flush`, at the latest.
   *
   * @returns false when the channel has no room and may not drop: the sample has to stay where it is
   */
  take(ring: RingName, data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): boolean {
    const lane = laneOf(ring);
    if (this.#carried[lane].length > 0 && !this.#sendCarried(lane)) return false;
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

  /** As `take`, of a ring that is about to go away: what finds no room is carried until there is some. */
  takeLast(ring: RingName, data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): void {
    if (this.take(ring, data, offset, lengthBytes)) return;
    const record = new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes).slice();
    this.#carried[laneOf(ring)].push({ ring, record });
  }

  /** @returns whether nothing is carried any more */
  #sendCarried(lane: Lane): boolean {
    const carried = this.#carried[lane];
    const fresh = { category: 0, priority: 0, process: null };
    const refused = carried.findIndex(({ ring, record: data }) =>
      !this.#senders[lane].append({ data, offset: 0, lengthBytes: data.length, ring: RINGS.indexOf(ring), ...fresh })
    );
    carried.splice(0, refused < 0 ? carried.length : refused);
    return refused < 0;
  }

  /** Samples of a ring's lane that are still carried: a `flush` of that lane sends them, once there is room. */
  carried(ring: RingName): number {
    return this.#carried[laneOf(ring)].length;
  }

  /** What was taken for a lane so far can be received from now on. */
  flush(lane: Lane): void {
    this.#sendCarried(lane);
    this.#senders[lane].flush();
  }

  /** Whether the pipeline falls behind, so that what matters least should wait. */
  get pressed(): boolean {
    return this.#senders.bulk.stats.fill > PRESSED_FILL;
  }

  /** @returns false after `timeoutMs` without room in the ring's lane */
  waitWritable(ring: RingName, timeoutMs: number): Promise<boolean> {
    return this.#senders[laneOf(ring)].waitWritable(timeoutMs);
  }
}
