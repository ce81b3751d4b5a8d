/** The engine keeps to its bounds, whatever it is sent, and counts what it leaves out. */
import { BUILTIN_CORRELATION_RULES } from "../lib/fleet/correlation/builtin_rules.ts";
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import { assertEquals, assertMatch } from "./assert.ts";
import { FakeHost } from "./correlation_records.ts";
import { Random } from "./support/random.ts";

/** Of which the program and its code take about a third. */
const HEAP_MAX_MB = 96;

Deno.test("a million events of all kinds leave the engine within its bounds and its memory, and every one is counted", async () => {
  const seed = Random.freshSeed();
  const script = decodeURIComponent(new URL("./correlation_flood.ts", import.meta.url).pathname);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-env", `--v8-flags=--max-old-space-size=${HEAP_MAX_MB}`, script],
    env: { TEST_SEED: String(seed) },
  }).output();
  const text = new TextDecoder();
  assertEquals(text.decode(stderr).slice(0, 2_000), "", `TEST_SEED=${seed}`);
  assertMatch(text.decode(stdout), /^[1-9]\d*\n$/);
});

Deno.test("more records than may wait are taken early, and what is older than those is late", () => {
  const host = new FakeHost("h");
  const engine = new CorrelationEngine(BUILTIN_CORRELATION_RULES, () => {}, { waitingMax: 10 });
  for (let i = 0; i < 15; i++) engine.add(host.event("file_open", 1 + i / 100));
  assertEquals([engine.stats().waiting, engine.stats().forced, engine.stats().processed], [10, 5, 5]);
  engine.add(host.event("file_open", 1.02));
  assertEquals(engine.stats().late, 1);
});
