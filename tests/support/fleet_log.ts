/** What a server's store holds, read when it does not run. */
import { DatabaseSync } from "node:sqlite";
import { Batch } from "../../lib/fleet/proto/ebpfmon.gen.ts";
import { EVENT } from "../../lib/wire/layouts.gen.ts";
import { decodeEvent } from "../../lib/fleet/event_codec.ts";
import type { RouterEvent } from "../../lib/events/event.ts";

/** Every batch in the store of a server, in the order of its log. */
function storedBatches(path: string): Batch[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = db.prepare("SELECT content FROM batch ORDER BY position").all();
    return rows.map(({ content }) => Batch.decode(content as Uint8Array));
  } finally {
    db.close();
  }
}

export function storedEvents(path: string): RouterEvent[] {
  return storedBatches(path).flatMap(({ events }) => events.map((message) => decodeEvent(message)!.event));
}

/** Of the raw path: as the kernel wrote them. */
export function storedRecords(path: string): Uint8Array<ArrayBuffer>[] {
  return storedBatches(path).flatMap(({ raw }) => {
    const records: Uint8Array<ArrayBuffer>[] = [];
    const data = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    for (let at = 0; at < raw.length;) {
      const length = EVENT.size + data.getUint32(at + EVENT.fields.data_len.offset, true);
      records.push(Uint8Array.from(raw.subarray(at, at + length)));
      at += length;
    }
    return records;
  });
}
