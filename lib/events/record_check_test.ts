import { assert, assertEquals } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { batchOf, connectPayload, eventRecord } from "../../tests/support/records.ts";
import { EventDecoder } from "./event_decoder.ts";
import { EVENT_TYPES } from "./event.ts";
import { recordFault } from "./record_check.ts";

const SOUND = [
  ...EVENT_TYPES.map((event) => eventRecord(event)),
  eventRecord("network_connect", { payload: connectPayload(new Uint8Array(), 0, "/run/x") }),
  eventRecord("network_connect", { payload: connectPayload(new Uint8Array(16).fill(1), 53) }),
];

Deno.test("recordFault() finds none in sound records", () => {
  const batch = batchOf(SOUND);
  assertEquals(SOUND.map((_, i) => recordFault(batch, i)), SOUND.map(() => null));
});

Deno.test("recordFault() says what is wrong", () => {
  const fault = (change: (record: Uint8Array) => Uint8Array) => recordFault(batchOf([change(SOUND[1].slice())]), 0);
  assertEquals(fault((record) => record.slice(0, 95)), "length 95 is less than a header");
  assertEquals(fault((record) => record.slice(0, 100)), "header says 8 bytes of payload, there are 4");
  assertEquals(fault((record) => record.with(10, 5)), "severity 5 is unknown");
  assertEquals(fault((record) => record.with(92, 4)), "ring 4 is unknown");
  assertEquals(fault((record) => record.with(8, 4)), "payload of 8 bytes is none of type 4");
  const batch = batchOf([SOUND[1]]);
  batch.lengths[0] = 5_000;
  assertEquals(recordFault(batch, 0), "length 5000 is more than there is");
});

Deno.test("recordFault() refuses a type that is not in the list, whatever the payload", () => {
  for (const type of [EVENT_TYPES.length, EVENT_TYPES.length + 1, 255]) {
    const batch = batchOf(SOUND.map((record) => record.with(8, type)));
    const decoder = new EventDecoder("x86_64");
    assertEquals(SOUND.map((_, i) => recordFault(batch, i)), SOUND.map(() => `type ${type} is unknown`));
    for (const [i] of SOUND.entries()) {
      assertEquals(decoder.decode(batch.data, batch.offsets[i], batch.lengths[i]), null);
    }
  }
});

Deno.test("recordFault() judges 100,000 mutated records as EventDecoder does", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const decoder = new EventDecoder("x86_64");
  let faults = 0;
  for (let i = 0; i < 100_000; i++) {
    let record = random.pick(SOUND).slice();
    // Bytes that decide are few: most changes go to them.
    const decisive = [8, 9, 10, 20, 92, 96, 97, 104, 106, 112, 128, 132, 134, 135];
    for (let changes = 1 + random.below(3); changes > 0; changes--) {
      const at = random.below(4) === 0 ? random.below(record.length) : random.pick(decisive);
      if (at < record.length) record[at] = random.below(random.pick([16, 256]));
    }
    if (random.below(8) === 0) record = record.slice(0, random.below(record.length + 1));
    const batch = batchOf([record]);
    const fault = recordFault(batch, 0);
    const event = decoder.decode(batch.data, batch.offsets[0], batch.lengths[0]);
    assertEquals(fault === null, event !== null, `TEST_SEED=${seed}, record ${i}: ${fault}, ${record.toHex()}`);
    if (fault !== null) faults++;
  }
  assert(faults > 10_000 && faults < 90_000, `${faults} faults with TEST_SEED=${seed}`);
});
