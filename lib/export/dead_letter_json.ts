/** Dead letters as JSON lines, and back. */
import { categorise, priorityOf } from "../events/categorise.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import type { EventDecoder } from "../events/event_decoder.ts";
import { EVENT_TYPES, type RouterEvent, SEVERITIES } from "../events/event.ts";
import { eventObject } from "./event_json.ts";
import { head, type JsonObject } from "./json_lines.ts";

/** A line of a file that is no dead letter. `line` counts from 1. */
export interface LetterFault {
  line: number;
  message: string;
}

export interface LetterContext {
  host: string;
  decoder: EventDecoder;
  /** The time since the epoch minus CLOCK_MONOTONIC, in nanoseconds. */
  bootUnixNs: bigint;
}

/**
 * `dead_letter`. `unix_ns` is a string, for it is beyond what JSON numbers hold. `event` is for people: the decoded
 * record, or null where it cannot be decoded; what is replayed is `record`.
 */
export function deadLetterObject(letter: DeadLetter, { host, decoder, bootUnixNs }: LetterContext): JsonObject {
  const { record } = letter;
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const event = decoder.decode(view, 0, record.length);
  return {
    ...head("dead_letter", { unixNs: letter.unixNs, host }),
    stage: letter.stage,
    error: letter.error,
    attempts: letter.attempts,
    unix_ns: String(letter.unixNs),
    record: record.toBase64(),
    event: event === null ? null : eventObject(host, toPipelineEvent(event), bootUnixNs),
  };
}

/** The event as far as its record tells it: without what the pipeline knows of the process. */
function toPipelineEvent(event: RouterEvent): PipelineEvent {
  return {
    ...event,
    category: categorise(EVENT_TYPES.indexOf(event.event)),
    priority: priorityOf(SEVERITIES.indexOf(event.severity)),
    process: null,
    service: "",
  };
}

/**
 * Reads a file of dead letters. It skips empty lines; a line that is no dead letter becomes a fault, and the others are
 * read.
 */
export function parseDeadLetters(text: string): { letters: DeadLetter[]; faults: LetterFault[] } {
  const letters: DeadLetter[] = [];
  const faults: LetterFault[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      letters.push(parseLetter(line));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      faults.push({ line: i + 1, message: error.message });
    }
  }
  return { letters, faults };
}

function parseLetter(line: string): DeadLetter {
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    throw new SyntaxError("expected a JSON object");
  }
  if (typeof object !== "object" || object === null) throw new SyntaxError("expected a JSON object");
  const { type, stage, error, attempts, unix_ns: unixNs, record } = object as Record<string, unknown>;
  if (type !== "dead_letter") throw new SyntaxError('expected "type" to be "dead_letter"');
  if (typeof stage !== "string") throw new SyntaxError('expected "stage" to be text');
  if (typeof error !== "string") throw new SyntaxError('expected "error" to be text');
  if (typeof attempts !== "number" || !Number.isSafeInteger(attempts) || attempts < 0) {
    throw new SyntaxError('expected "attempts" to be a count');
  }
  if (typeof unixNs !== "string" || !/^\d{1,20}$/.test(unixNs)) {
    throw new SyntaxError('expected "unix_ns" to be nanoseconds in text');
  }
  return { stage, error, attempts, unixNs: BigInt(unixNs), record: bytesOf(record) };
}

function bytesOf(record: unknown): Uint8Array<ArrayBuffer> {
  if (typeof record === "string") {
    try {
      return Uint8Array.fromBase64(record, { lastChunkHandling: "strict" });
    } catch {
      // Said below.
    }
  }
  throw new SyntaxError('expected "record" to be base64');
}
