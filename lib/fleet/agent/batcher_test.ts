import { assert, assertEquals } from "../../../tests/assert.ts";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { fleetEvent, fleetEventNumber } from "../../../tests/support/fleet_events.ts";
import { Batch } from "../proto/ebpfmon.gen.ts";
import { decodeAlert } from "../codec.ts";
import { decodeEvent } from "../event_codec.ts";
import type { EnrichedEvent } from "../enriched_event.ts";
import type { Severity } from "../../events/event.ts";
import { Batcher, type BatcherOptions } from "./batcher.ts";

interface Appended {
  lane: Severity;
  events: number;
  batch: Batch;
}

function gather(options: Partial<BatcherOptions> = {}): { batcher: Batcher; appended: Appended[] } {
  const appended: Appended[] = [];
  const spool = {
    append: (lane: Severity, events: number, encode: (sequence: number) => Uint8Array) => {
      appended.push({ lane, events, batch: Batch.decode(encode(appended.length + 1)) });
    },
  };
  const clock = () => ({ unixNs: 1_800_000_000_000_000_000n, bootUnixNs: -5n });
  const batcher = new Batcher(spool, { flushMs: 50, bytesMax: 1_000_000, clock, onBatch: () => {}, ...options });
  return { batcher, appended };
}

function events(count: number, severity: Severity): EnrichedEvent[] {
  return Array.from({ length: count }, (_, n) => {
    const made = fleetEvent(n);
    return { ...made, event: { ...made.event, severity } };
  });
}

Deno.test("Batcher waits for a hundred events, or for the flush interval", async () => {
  using time = new FakeTime();
  const { batcher, appended } = gather();
  using _ = batcher;
  batcher.add(events(99, "info"));
  assertEquals(appended.length, 0);
  batcher.add(events(1, "info"));
  assertEquals(appended.map(({ events }) => events), [100]);
  batcher.add(events(3, "debug"));
  await time.pass(49);
  assertEquals(appended.length, 1);
  await time.pass(1);
  assertEquals(appended.map(({ lane, events }) => [lane, events]), [["info", 100], ["debug", 3]]);
});

Deno.test("Batcher sends critical events at once, all of one call together", () => {
  const { batcher, appended } = gather();
  using _ = batcher;
  batcher.add([...events(2, "debug"), ...events(30, "critical")]);
  assertEquals(appended.map(({ lane, events }) => [lane, events]), [["critical", 30]]);
});

Deno.test("Batcher makes larger batches under load, up to a thousand", () => {
  using _time = new FakeTime();
  const { batcher, appended } = gather({ flushMs: 60_000 });
  using _ = batcher;
  for (let i = 0; i < 50; i++) batcher.add(events(100, "info"));
  assertEquals(batcher.target("info"), 1000);
  assert(appended.every(({ events }) => events >= 100 && events <= 1000));
});

Deno.test("Batcher makes smaller batches when little happens", async () => {
  using time = new FakeTime();
  const { batcher, appended } = gather({ flushMs: 10 });
  using _ = batcher;
  for (let i = 0; i < 3; i++) {
    batcher.add(events(1, "info"));
    await time.pass(10);
  }
  assertEquals(appended.length, 3);
  assertEquals(batcher.target("info"), 50);
});

Deno.test("Batcher numbers its batches, keeps order, and notes both clocks", () => {
  const { batcher, appended } = gather({ flushMs: 0 });
  using _ = batcher;
  batcher.add(events(20, "warning"));
  batcher.add(events(20, "warning"));
  assertEquals(appended.map(({ batch }) => [batch.sequence, batch.lane]), [[1n, 3], [2n, 3]]);
  const [{ batch }] = appended;
  assertEquals([batch.createdUnixNs, batch.bootUnixNs], [1_800_000_000_000_000_000n, -5n]);
  assertEquals(
    batch.events.map((event) => fleetEventNumber(decodeEvent(event)!)),
    Array.from({ length: 20 }, (_, n) => n),
  );
});

Deno.test("Batcher splits what would be too long", () => {
  const { batcher, appended } = gather({ bytesMax: 2000, flushMs: 0 });
  using _ = batcher;
  batcher.add(events(100, "info"));
  assert(appended.length > 4);
  assertEquals(appended.reduce((sum, { events }) => sum + events, 0), 100);
  assert(appended.every(({ batch }) => Batch.encode(batch).finish().length <= 2000 + 20));
});

Deno.test("Batcher sends alerts as critical, health as information, and raw records as they are", () => {
  const { batcher, appended } = gather();
  using _ = batcher;
  batcher.addAlert({ alert: "a", level: "error", message: "m", fields: {}, unixNs: 1n });
  batcher.addRaw("debug", Uint8Array.of(1, 2, 3), 2);
  assertEquals(appended.map(({ lane, events }) => [lane, events]), [["critical", 0], ["debug", 2]]);
  assertEquals(decodeAlert(appended[0].batch.alerts[0]).message, "m");
  assertEquals([...appended[1].batch.raw], [1, 2, 3]);
});
