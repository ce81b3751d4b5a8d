import { assertEquals } from "../../tests/assert.ts";
import { batchOf, connectPayload, eventRecord, processInfo, tcpPayload } from "../../tests/support/records.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { categoriseEvent } from "../events/categorise.ts";
import { DecodeStage } from "./decode_stage.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { type Failure, runStage } from "./run_stage.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

function decode(batch: EventBatch): { stage: DecodeStage; failures: Failure[] } {
  const stage = new DecodeStage(new EventDecoder("x86_64"));
  const failures: Failure[] = [];
  runStage(stage, batch, (failure) => failures.push(failure));
  return { stage, failures };
}

Deno.test("DecodeStage makes whole events, with what the stages before it found out", () => {
  const { encoded: _encoded, ...process } = processInfo();
  const batch = batchOf([eventRecord("file_open", { pid: 1 }), eventRecord("process_exec", { severity: "critical" })], [
    processInfo(),
  ]);
  categoriseEvent(batch, 0);
  categoriseEvent(batch, 1);
  const { stage, failures } = decode(batch);
  assertEquals(failures, []);
  const events = stage.take();
  assertEquals(
    events.map(({ event, pid, category, priority, process, service }) => ({
      event,
      pid,
      category,
      priority,
      process,
      service,
    })),
    [
      { event: "file_open", pid: 1, category: "filesystem", priority: 2, process, service: "" },
      { event: "process_exec", pid: 4242, category: "process", priority: 1, process: null, service: "" },
    ],
  );
  assertEquals(stage.take(), [], "each is handed out once");
});

Deno.test("DecodeStage names the service by the port of the end that listens", () => {
  const here = (port: number) => ({ address: LOOPBACK, port });
  const records = [
    eventRecord("network_connect", { payload: connectPayload(LOOPBACK, 443) }),
    eventRecord("network_connect", { payload: connectPayload(LOOPBACK, 0) }),
    eventRecord("network_connect", { payload: connectPayload(LOOPBACK, 49_999) }),
    eventRecord("tcp_state", { payload: tcpPayload(here(40_000), here(22)) }),
    eventRecord("tcp_state", { payload: tcpPayload(here(22), here(40_000)) }),
    eventRecord("process_exit"),
  ];
  const { stage } = decode(batchOf(records));
  assertEquals(stage.take().map(({ service }) => service), ["https", "", "", "ssh", "ssh", ""]);
});

Deno.test("DecodeStage refuses a record that contradicts itself, and goes on behind it", () => {
  const batch = batchOf([eventRecord("file_open"), new Uint8Array(120).fill(0xff), eventRecord("process_exit")]);
  const { stage, failures } = decode(batch);
  assertEquals(failures.map(({ error }) => error), ["Cannot decode a record: it contradicts itself"]);
  assertEquals(stage.take().map(({ event }) => event), ["file_open", "process_exit"]);
});

Deno.test("DecodeStage hands out records where it is told to, and none where not", () => {
  const records = [eventRecord("file_open"), eventRecord("process_exit")];
  for (const wanted of [true, false]) {
    const stage = new DecodeStage(new EventDecoder("x86_64"), { records: wanted });
    runStage(stage, batchOf(records), () => {});
    assertEquals(stage.take().map(({ record }) => record), wanted ? records : [undefined, undefined]);
  }
});
