import { assertEquals } from "../../tests/assert.ts";
import { eventRecord } from "../../tests/support/records.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { deadLetterObject, parseDeadLetters } from "./dead_letter_json.ts";
import { jsonLine } from "./json_lines.ts";

const CONTEXT = { host: "h", decoder: new EventDecoder("x86_64"), bootUnixNs: 1_000_000_000_000_000_000n };
const SOUND: DeadLetter = {
  stage: "enrich",
  error: 'line\n"two"\u2028\x1b[31m',
  attempts: 2,
  unixNs: 1_767_323_045_000_000_006n,
  record: eventRecord("file_open", { pid: 7, comm: "evil\x1b\n" }),
};
const BROKEN: DeadLetter = { ...SOUND, stage: "filter", record: Uint8Array.of(0xff, 0, 1) };

function line(letter: DeadLetter): string {
  return jsonLine(deadLetterObject(letter, CONTEXT));
}

Deno.test("dead letters come back from their lines as they were", () => {
  const text = line(SOUND) + "\n" + line(BROKEN) + line({ ...SOUND, record: new Uint8Array() });
  assertEquals(text.trimEnd().split("\n").length, 4);
  assertEquals(/(?!\n)\p{Cc}|\u2028/u.test(text), false);
  assertEquals(parseDeadLetters(text), {
    letters: [SOUND, BROKEN, { ...SOUND, record: new Uint8Array() }],
    faults: [],
  });
});

Deno.test("deadLetterObject() shows the event where the record can be decoded, and null where not", () => {
  const object = deadLetterObject(SOUND, CONTEXT);
  assertEquals([object.type, object.time, object.host], ["dead_letter", "2026-01-02T03:04:05.000000006Z", "h"]);
  const { event, pid, path } = object.event as Record<string, unknown>;
  assertEquals([event, pid, path], ["file_open", 7, "/etc/hosts"]);
  assertEquals(deadLetterObject(BROKEN, CONTEXT).event, null);
});

Deno.test("deadLetterObject() decodes a record that is a part of other memory", () => {
  const memory = new Uint8Array(SOUND.record.length + 5);
  memory.set(SOUND.record, 5);
  const object = deadLetterObject({ ...SOUND, record: memory.subarray(5) }, CONTEXT);
  assertEquals((object.event as { pid: number }).pid, 7);
});

Deno.test("parseDeadLetters() names the lines that are none and keeps the others", () => {
  const good = JSON.parse(line(BROKEN));
  const cases: [text: string, message: string][] = [
    ["{", "expected a JSON object"],
    ["null", "expected a JSON object"],
    ["7", "expected a JSON object"],
    [JSON.stringify({ ...good, type: "event" }), 'expected "type" to be "dead_letter"'],
    [JSON.stringify({ ...good, stage: 1 }), 'expected "stage" to be text'],
    [JSON.stringify({ ...good, error: null }), 'expected "error" to be text'],
    [JSON.stringify({ ...good, attempts: -1 }), 'expected "attempts" to be a count'],
    [JSON.stringify({ ...good, attempts: 1.5 }), 'expected "attempts" to be a count'],
    [JSON.stringify({ ...good, unix_ns: 5 }), 'expected "unix_ns" to be nanoseconds in text'],
    [JSON.stringify({ ...good, unix_ns: "-5" }), 'expected "unix_ns" to be nanoseconds in text'],
    [JSON.stringify({ ...good, record: "%" }), 'expected "record" to be base64'],
    [JSON.stringify({ ...good, record: "AB" }), 'expected "record" to be base64'],
    [JSON.stringify({ ...good, record: undefined }), 'expected "record" to be base64'],
  ];
  const text = cases.map(([bad]) => `${bad}\n`).join("") + line(BROKEN);
  assertEquals(parseDeadLetters(text), {
    letters: [BROKEN],
    faults: cases.map(([, message], i) => ({ line: i + 1, message })),
  });
});
