/** A worker that nothing can end: the run ends without it, in time, and says what is left. */
import { assertEquals, assertGreater } from "./assert.ts";
import type { Placement } from "../lib/pipeline/pipeline_messages.ts";
import type { StuckRequest, StuckResult } from "./support/stuck_pipeline_program.ts";

const PROGRAM = decodeURIComponent(new URL("support/stuck_pipeline_program.ts", import.meta.url).pathname);
const EVENTS = 10_000;
/** For a program that does not end, which is what is tested. */
const GIVE_UP_MS = 60_000;
const NONE = { filtered: 0, deadLettered: 0, dropped: 0 };

const HASH: Placement = { kind: "fan_out", enrichWorkers: 2, distribution: "hash" };

const STUCK: { placement: Placement; node: string }[] = [
  { placement: { kind: "one" }, node: "pipeline" },
  { placement: { kind: "each" }, node: "enrich" },
  { placement: HASH, node: "enrich " },
];

async function runStuck(request: StuckRequest): Promise<{ code: number; result: StuckResult }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-all", PROGRAM, JSON.stringify(request)],
    signal: AbortSignal.timeout(GIVE_UP_MS),
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (text === "") throw new Error(`Cannot tell what happened: ${new TextDecoder().decode(stderr)}`);
  return { code, result: JSON.parse(text) };
}

for (const { placement, node } of STUCK) {
  Deno.test(`a worker whose thread does not end fails the run, and the equation holds: ${placement.kind}`, async () => {
    const { code, result } = await runStuck({ placement, node, events: EVENTS, stopMs: null });
    assertEquals(code, 1);
    assertEquals(result.error, {
      message: "Cannot go on: the test worker failed: it has been at one batch for 1 s, and its thread does not end",
      exitCode: 1,
    });
    // Nobody took its place, or its batch.
    assertEquals(result.notices, []);
    const { inFlight, aggregated } = result.outcomes;
    assertGreater(inFlight, 0);
    assertEquals(result.outcomes, { ...NONE, aggregated, inFlight });
    assertEquals([result.in, aggregated + inFlight, result.unaccounted], [EVENTS, EVENTS, 0]);
  });
}

Deno.test("a stop does not wait longer than its deadline for a worker that never comes back", async () => {
  const { placement, node } = STUCK[1];
  const { code, result } = await runStuck({ placement, node, events: EVENTS, stopMs: 300 });
  assertEquals([code, result.error, result.notices], [0, null, []]);
  const { inFlight, aggregated } = result.outcomes;
  assertGreater(inFlight, 0);
  assertEquals(result.outcomes, { ...NONE, aggregated, inFlight });
  assertEquals([result.in, aggregated + inFlight, result.unaccounted], [EVENTS, EVENTS, 0]);
});
