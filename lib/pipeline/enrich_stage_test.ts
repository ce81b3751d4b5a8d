import { assertEquals } from "../../tests/assert.ts";
import { batchOf, eventRecord, execPayload, type RecordFields } from "../../tests/support/records.ts";
import { EVENT, EVENT_FLAG, EXEC_PAYLOAD } from "../wire/layouts.gen.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { type EventType, UID_UNKNOWN } from "../events/event.ts";
import { EnrichStage } from "./enrich_stage.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { ProcessCache } from "../processes/process_cache.ts";
import { Users } from "../processes/users.ts";

const INCOMPLETE = EVENT_FLAG.EVENT_INCOMPLETE;

type Event = RecordFields & { event?: EventType; filename?: string; ppid?: number };

/** An event with a file name is an exec. */
function recordOf({ event = "file_open", filename, ppid = 0, ...fields }: Event): Uint8Array<ArrayBuffer> {
  if (filename === undefined) return eventRecord(event, fields);
  const payload = execPayload(filename, "");
  new DataView(payload.buffer).setUint32(EXEC_PAYLOAD.fields.ppid.offset, ppid, true);
  return eventRecord("process_exec", { ...fields, payload });
}

function eventsOf(events: Event[]): EventBatch {
  return batchOf(events.map(recordOf));
}

function openStage(): { stage: EnrichStage; cache: ProcessCache; cgroups: bigint[] } {
  const cgroups: bigint[] = [];
  const source = { list: () => [], read: () => null, cgroupPath: (id: bigint) => (cgroups.push(id), null) };
  const cache = new ProcessCache(source, new Users({ passwdStamp: () => null, passwdText: () => "" }));
  return { stage: new EnrichStage(cache), cache, cgroups };
}

Deno.test("EnrichStage shows an exec in its own event and those after it, by their times", () => {
  const { stage } = openStage();
  const batch = eventsOf([
    { pid: 5, tsNs: 1e9, comm: "bash" },
    { pid: 5, tsNs: 2e9, comm: "ls", filename: "/bin/ls", ppid: 3 },
    { pid: 5, tsNs: 3e9, comm: "ls" },
    { pid: 6, tsNs: 3e9, comm: "cat" },
    { pid: 5, tsNs: 1.5e9, comm: "bash" }, // through a slower ring
  ]);
  stage.run(batch);
  assertEquals(batch.process.map((process) => [process?.pid, process?.name, process?.exe, process?.ppid]), [
    [5, "bash", "", 0],
    [5, "ls", "/bin/ls", 3],
    [5, "ls", "/bin/ls", 3],
    [6, "cat", "", 0],
    [5, "bash", "", 0],
  ]);
  assertEquals(batch.next, batch.count);
});

Deno.test("EnrichStage marks the end of a process and keeps what is known of it", () => {
  const { stage } = openStage();
  const batch = eventsOf([
    { pid: 5, tsNs: 1e9, comm: "true", filename: "/bin/true", ppid: 3 },
    { pid: 5, tsNs: 2e9, event: "process_exit" },
    { pid: 5, tsNs: 2.1e9 },
    { pid: 5, tsNs: 9e9, comm: "another" },
  ]);
  stage.run(batch);
  assertEquals(batch.process.map((process) => process?.name), ["true", "true", "true", "another"]);
});

Deno.test("EnrichStage leaves dropped events alone and goes on where a batch stands", () => {
  const { stage, cache } = openStage();
  const batch = eventsOf([
    { pid: 1, tsNs: 1 },
    { pid: 2, tsNs: 2 },
    { pid: 3, tsNs: 3 },
  ]);
  batch.drop(1);
  batch.next = 1;
  stage.run(batch);
  assertEquals([batch.process[0], batch.process[1], batch.process[2]?.pid], [null, null, 3]);
  assertEquals(cache.stats().entries, 1);
});

Deno.test("EnrichStage keeps hostile names as they are, and takes names without an end", () => {
  const { stage } = openStage();
  const batch = eventsOf([
    { pid: 1, tsNs: 1, comm: "\x1b[2J\n" },
    { pid: 2, tsNs: 1, comm: "sixteen-bytes-xy" },
    { pid: 3, tsNs: 1, comm: "evil", filename: `/tmp/\n\x1b]0;${"x".repeat(250)}`, ppid: 1 },
  ]);
  batch.bytes[batch.offsets[1] + EVENT.fields.comm.offset + 3] = 0xff;
  stage.run(batch);
  assertEquals(batch.process[0]?.name, "\x1b[2J\n");
  assertEquals(batch.process[1]?.name, "six\ufffdeen-bytes-xy");
  assertEquals(batch.process[2]?.exe, `/tmp/\n\x1b]0;${"x".repeat(250)}`);
});

Deno.test("EnrichStage takes an exec record that contradicts itself for any other event", () => {
  const { stage } = openStage();
  const tooLong = recordOf({ pid: 1, comm: "odd", filename: "/bin/odd" });
  new DataView(tooLong.buffer).setUint16(EVENT.size + EXEC_PAYLOAD.fields.filename_len.offset, 9_999, true);
  const tooShort = eventRecord("process_exec", { pid: 2, comm: "short", payload: new Uint8Array(0) });
  const batch = batchOf([tooLong, tooShort]);
  stage.run(batch);
  assertEquals(batch.process.map((process) => [process?.name, process?.exe]), [["odd", ""], ["short", ""]]);
});

Deno.test("EnrichStage asks for cgroups beyond 32 bits by their whole number", () => {
  const { stage, cache, cgroups } = openStage();
  stage.run(eventsOf([
    { pid: 1, tsNs: 1, cgroupId: 0x1_0000_0007n },
  ]));
  cache.refresh(10, 2);
  assertEquals(cgroups, [0x1_0000_0007n]);
});

/** A process killed for want of memory, of which the kernel told the number only. */
const VICTIM = { event: "resource_limit", uid: UID_UNKNOWN, comm: "", cgroupId: 0n, flags: INCOMPLETE } as const;

Deno.test("EnrichStage completes the record of an out-of-memory victim from earlier records of the process", () => {
  const { stage } = openStage();
  const batch = eventsOf([
    { pid: 5, tsNs: 1e9, comm: "hog", uid: 1234, cgroupId: 77n, filename: "/bin/hog", ppid: 3 },
    { pid: 5, tsNs: 2e9, ...VICTIM },
  ]);
  stage.run(batch);
  const event = new EventDecoder("x86_64").decode(batch.data, batch.offsets[1], batch.lengths[1])!;
  assertEquals([event.comm, event.uid, event.cgroupId], ["hog", 1234, 77n]);
  assertEquals([batch.process[1]?.exe, batch.process[1]?.uid], ["/bin/hog", 1234]);
});

Deno.test("EnrichStage leaves what is unknown of a victim unknown, and takes its number for nobody's", () => {
  const { stage, cache } = openStage();
  const batch = eventsOf([{ pid: 6, tsNs: 2e9, ...VICTIM }]);
  stage.run(batch);
  const event = new EventDecoder("x86_64").decode(batch.data, batch.offsets[0], batch.lengths[0])!;
  assertEquals([event.comm, event.uid, event.cgroupId, event.incomplete], ["", UID_UNKNOWN, 0n, true]);
  assertEquals([batch.process[0], cache.stats().entries, batch.next], [null, 0, 1]);
});

Deno.test("EnrichStage keeps a parent that is known where an exec does not tell it", () => {
  const { stage } = openStage();
  const batch = eventsOf([
    { pid: 5, tsNs: 1e9, comm: "sh", filename: "/bin/sh", ppid: 3 },
    { pid: 5, tsNs: 2e9, comm: "ls", filename: "/bin/ls", ppid: 0, flags: INCOMPLETE },
  ]);
  stage.run(batch);
  assertEquals(batch.process.map((process) => process?.ppid), [3, 3]);
});
