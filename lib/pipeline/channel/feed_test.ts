import { assertEquals } from "../../../tests/assert.ts";
import { eventRecord } from "../../../tests/support/records.ts";
import type { OverflowPolicy } from "./channel.ts";
import { EventBatch } from "../../events/event_batch.ts";
import { Feed, laneOf } from "./feed.ts";
import { decodeProcess } from "../../processes/process_codec.ts";
import type { Lane } from "./lanes.ts";
import { SharedChannel } from "./shared_channel.ts";
import { RINGS } from "../../events/event.ts";

const SLOT_BYTES = 4_096;

/** Both lanes, and what comes out of them. */
class Lanes implements Disposable {
  readonly feed: Feed;
  readonly #owned = new DisposableStack();
  readonly #channels: Record<Lane, SharedChannel>;

  constructor(policy: OverflowPolicy = "block") {
    const create = (name: Lane) =>
      new SharedChannel(SharedChannel.create({ name, policy, slots: 2, slotBytes: SLOT_BYTES }), { decodeProcess });
    this.#channels = { urgent: create("urgent"), bulk: create("bulk") };
    const open = (lane: Lane) => this.#owned.use(this.#channels[lane].openSender(0));
    this.feed = new Feed({ urgent: open("urgent"), bulk: open("bulk") });
  }

  /** Pids and rings of what can be received from a lane now. */
  receive(lane: Lane): [pid: number, ring: string][] {
    using receiver = this.#channels[lane].openReceiver(1);
    const batch = new EventBatch(SLOT_BYTES);
    const events: [number, string][] = [];
    while (receiver.receive(batch)) {
      for (let i = 0; i < batch.count; i++) events.push([batch.pid(i), RINGS[batch.ring[i]]]);
      receiver.commit();
    }
    return events;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

function view(pid: number): DataView<ArrayBuffer> {
  return new DataView(eventRecord("file_open", { pid }).buffer);
}

Deno.test("laneOf() keeps what is critical apart from everything else", () => {
  assertEquals(RINGS.map(laneOf), ["urgent", "bulk", "bulk", "bulk"]);
});

Deno.test("Feed takes samples wherever they are in memory, and says which ring they came through", () => {
  using lanes = new Lanes();
  const record = eventRecord("file_open", { pid: 7 });
  const memory = new Uint8Array(1_024);
  memory.set(record, 512 + 24);
  assertEquals(lanes.feed.take("debug", new DataView(memory.buffer, 512), 24, record.length), true);
  assertEquals(lanes.feed.take("normal", view(8), 0, record.length), true);
  assertEquals(lanes.feed.take("critical", view(9), 0, record.length), true);
  assertEquals(lanes.receive("bulk"), [], "not flushed yet");
  lanes.feed.flush("bulk");
  lanes.feed.flush("urgent");
  assertEquals(lanes.receive("bulk"), [[7, "debug"], [8, "normal"]]);
  assertEquals(lanes.receive("urgent"), [[9, "critical"]]);
});

Deno.test("Feed refuses a sample that finds no room, and carries the last ones of a ring that goes away", () => {
  using lanes = new Lanes();
  const { feed } = lanes;
  const lengthBytes = view(0).byteLength;
  let pid = 0;
  while (feed.take("normal", view(pid), 0, lengthBytes)) pid++;
  const taken = pid;
  for (let i = 0; i < 3; i++) feed.takeLast("isolated", view(pid++), 0, lengthBytes);
  assertEquals([feed.unsent("isolated"), feed.unsent("normal"), feed.unsent("critical")], [3, 3, 0]);
  feed.flush("urgent");
  assertEquals(feed.unsent("normal"), 3, "a flush of the other lane sends none of them");
  assertEquals(feed.take("normal", view(pid), 0, lengthBytes), false, "it would overtake those that are carried");
  assertEquals(feed.take("critical", view(999), 0, lengthBytes), true, "the other lane has room");
  assertEquals(feed.bulkIsHalfFull, true);

  feed.flush("bulk");
  assertEquals(lanes.receive("bulk").map(([pid]) => pid), Array.from({ length: taken }, (_, i) => i));
  assertEquals(feed.take("normal", view(pid), 0, lengthBytes), true);
  assertEquals(feed.unsent("normal"), 0);
  feed.flush("bulk");
  const carried = [0, 1, 2].map((i): [number, string] => [taken + i, "isolated"]);
  assertEquals(lanes.receive("bulk"), [...carried, [taken + 3, "normal"]]);
  assertEquals(feed.bulkIsHalfFull, false);
});

Deno.test("Feed waits for room in the lane of a ring", async () => {
  using lanes = new Lanes();
  const { feed } = lanes;
  while (feed.take("debug", view(1), 0, view(1).byteLength));
  assertEquals(await feed.waitWritable("debug", 1), false);
  assertEquals(await feed.waitWritable("critical", 1), true);
  feed.flush("bulk");
  lanes.receive("bulk");
  assertEquals(await feed.waitWritable("debug", 1), true);
});
