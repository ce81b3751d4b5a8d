/** What a server's store holds, read when it does not run. */
import { DatabaseSync } from "node:sqlite";
import { Batch } from "../../lib/export/proto/ebpfmon.gen.ts";
import { decodeEvent } from "../../lib/fleet/codec.ts";
import type { RouterEvent } from "../../lib/router/protocol.ts";

/** Every event in the store of a server, in the order of its log. */
export function storedEvents(path: string): RouterEvent[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db.prepare("SELECT content FROM batch ORDER BY position").all().flatMap(({ content }) =>
      Batch.decode(content as Uint8Array).events.map((message) => decodeEvent(message)!.event)
    );
  } finally {
    db.close();
  }
}
