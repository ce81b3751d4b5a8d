import { assert, assertEquals, assertFalse } from "../../tests/assert.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { eventRecord } from "../../tests/support/records.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { renderDeadLetter, renderOutcomes, renderPipelineSummary } from "./pipeline_view.ts";

const OUTCOMES = "Pipeline: 1000 in = 200 filtered + 700 aggregated + 40 dead-lettered + 35 dropped + 25 in flight";
const LETTER = { stage: "filter", error: "Cannot read it", attempts: 1, unixNs: 1_767_323_045_000_000_006n };

Deno.test("renderOutcomes() says what became of all events, and warns of any that is nowhere", () => {
  assertEquals(renderOutcomes(pipelineStats()), [OUTCOMES]);
  assertEquals(renderOutcomes(pipelineStats({ in: 1_003 }))[1], "WARNING: 3 events are unaccounted for");
});

Deno.test("renderPipelineSummary() has the outcomes, the drops by cause, and each stage's latency", () => {
  const made = {
    events: 1_000,
    seconds: 0.5,
    rings: [{ ring: "debug" as const, attempts: 9n, submitted: 7n, dropped: 2n, consumed: 7 }],
  };
  const lines = renderPipelineSummary(pipelineStats(), { seconds: 2, made });
  for (
    const line of [
      "Simulated: 1000 events in 0.500 s",
      "  ring debug        9 = 7 submitted + 2 dropped",
      OUTCOMES,
      "  filtered by low_priority_system: 150",
      "  dropped by channel bulk-0 (drop_oldest): 30",
      "  dropped by channel queue-1 (lost): 5",
      "Categories: syscall 1, network 2, filesystem 690, process 7",
      "Process cache: 98.5 % hits, 321 entries",
    ]
  ) assert(lines.includes(line), `${line} in\n${lines.join("\n")}`);
  for (const stage of ["filter", "aggregate", "whole"]) assert(lines.some((line) => line.startsWith(`${stage} `)));
  assertFalse(lines.join("").includes("\x1b"), "a process chose its name");
  assertFalse(lines.join("").includes("\u202e"), "a process chose its name");
});

Deno.test("renderDeadLetter() is one line, whatever a process chose", () => {
  const decoder = new EventDecoder("x86_64");
  const record = eventRecord("file_open", { pid: 7, comm: "a\nb\x1b[2J" });
  const line = renderDeadLetter({ ...LETTER, attempts: 3, record }, decoder);
  assert(
    line.startsWith("2026-01-02T03:04:05.000000006Z filter: Cannot read it (tried 3 times): file_open pid 7 "),
    line,
  );
  assertFalse(line.includes("\n") || line.includes("\x1b"));
  const hostile = renderDeadLetter({ ...LETTER, error: "a\nb\x1b[2J", record: new Uint8Array(3) }, decoder);
  assert(hostile.endsWith(": 3 bytes that are no event"), hostile);
  assertFalse(hostile.includes("\n") || hostile.includes("\x1b"));
});
