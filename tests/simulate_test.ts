/** Simulated events: the kernel's and ours are the same, rings add up, and nothing but the kernel needs privilege. */
import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes } from "./assert.ts";
import { EventSimulator, SIMULATED_BURST_MAX } from "../lib/simulate/event_simulator.ts";
import { EVENT } from "../lib/wire/layouts.gen.ts";
import { SHARED_RINGS, type SharedRing } from "../lib/events/event.ts";
import { SyntheticEvents } from "../lib/simulate/synthetic_events.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./support/bpf.ts";
import { runPipeline } from "./support/pipeline_cli.ts";

const RING_BYTES: Record<SharedRing, number> = { critical: 65_536, normal: 1_048_576, debug: 1_048_576 };
const EVENTS = 4_000;

/** Without its times. */
function timeless(data: DataView, offset: number, lengthBytes: number): string {
  const record = new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes).slice();
  for (const { offset, size } of [EVENT.fields.ts_ns, EVENT.fields.first_ns]) record.fill(0, offset, offset + size);
  return record.toHex();
}

function openSimulator(stack: DisposableStack): EventSimulator {
  const elf = Deno.readFileSync(`${ASSETS_DIR}/bpf/simulate.bpf.o`);
  return stack.use(new EventSimulator(stack.use(openSystemLibbpf()), elf, RING_BYTES));
}

Deno.test("the kernel's simulated events are the synthetic ones, byte by byte but for their times", async () => {
  using stack = new DisposableStack();
  const simulator = openSimulator(stack);
  const ours: Record<SharedRing, string[]> = { critical: [], normal: [], debug: [] };
  const theirs: Record<SharedRing, string[]> = { critical: [], normal: [], debug: [] };
  const synthetic = new SyntheticEvents(() => 5n);
  for (let made = 0; made < EVENTS; made += 500) {
    await simulator.produce(500);
    for (const ring of SHARED_RINGS) {
      simulator.read(ring, (data, offset, lengthBytes) => void theirs[ring].push(timeless(data, offset, lengthBytes)));
    }
    for (let i = 0; i < 500; i++) {
      const { ring, data, lengthBytes } = synthetic.next();
      ours[ring].push(timeless(data, 0, lengthBytes));
    }
  }
  for (const ring of SHARED_RINGS) {
    assertGreater(ours[ring].length, 0);
    assertEquals(theirs[ring].length, ours[ring].length, ring);
    theirs[ring].forEach((record, i) => assertEquals(record, ours[ring][i], `${ring} ${i}`));
  }
});

Deno.test("what finds no room in a simulator's rings is dropped and counted", async () => {
  using stack = new DisposableStack();
  const simulator = openSimulator(stack);
  assertGreater(simulator.room, 100);
  let made = 0;
  for (; made < 10 * SIMULATED_BURST_MAX; made += SIMULATED_BURST_MAX) await simulator.produce(SIMULATED_BURST_MAX);
  const full = simulator.rings();
  assertEquals(full.reduce((sum, { attempts }) => sum + attempts, 0n), BigInt(made));
  assertGreater(full.reduce((sum, { dropped }) => sum + dropped, 0n), 0n);
  assertLess(simulator.room, 10);
  for (const ring of SHARED_RINGS) while (simulator.read(ring, () => {}) > 0);
  for (const { ring, attempts, submitted, dropped, consumed } of simulator.rings()) {
    assertEquals(attempts, submitted + dropped, ring);
    assertEquals(submitted, BigInt(consumed), ring);
  }
});

Deno.test("pipeline --simulate sends each event through the kernel's rings and accounts for all", async () => {
  const { code, objects, stderr } = await runPipeline(["--simulate", "20000", "--json"]);
  assertEquals(code, 0, stderr.join("\n"));
  const summary = objects.at(-1)!;
  assertEquals([summary.type, summary.simulated.events, summary.in], ["summary", 20_000, 20_000]);
  let attempts = 0;
  for (const ring of summary.simulated.rings) {
    assertEquals(Number(ring.attempts), Number(ring.submitted) + Number(ring.dropped));
    assertEquals(Number(ring.submitted), ring.consumed);
    attempts += Number(ring.attempts);
  }
  assertEquals(attempts, 20_000);
  assertEquals(summary.filtered + summary.aggregated, 20_000);
  assertGreater(summary.filtered, 0);
});

Deno.test("pipeline --rate keeps the rate that was asked for", async () => {
  const { code, objects, stderr } = await runPipeline(["--simulate", "6000", "--rate", "4000", "--json"]);
  assertEquals(code, 0, stderr.join("\n"));
  const { events, seconds } = objects.at(-1)!.simulated;
  assertEquals(events, 6_000);
  assert(Math.abs(events / seconds / 4_000 - 1) < 0.1, `${events} events in ${seconds} s`);
});

/** Somebody without any capability. */
const STRANGER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];

Deno.test("pipeline --no-kernel needs no privilege, and says that the kernel takes no part", async () => {
  const { code, stdout, stderr } = await runPipeline(["--simulate", "5000", "--no-kernel"], STRANGER);
  assertEquals(code, 0, stderr.join("\n"));
  assertEquals(stderr, ["ebpfmon: the kernel takes no part in this: events enter the first channel"]);
  assertStringIncludes(stdout.join("\n"), "Simulated: 5000 events");
  assertStringIncludes(stdout.join("\n"), "Pipeline: 5000 in = ");
});

Deno.test("pipeline --simulate without privilege names the capabilities", async () => {
  const { code, stdout, stderr } = await runPipeline(["--simulate", "5000"], STRANGER);
  assertEquals([code, stdout], [3, []], stderr.join("\n"));
  assertStringIncludes(stderr.at(-1)!, "CAP_BPF");
  assertEquals(stderr.length, 1, stderr.join("\n"));
});
