import { assert, assertEquals } from "../../../tests/assert.ts";
import { WINDOW_RUNGS_MS, WindowController, type WindowLoad } from "./window_controller.ts";

/** Traffic as the controller meets it: distinct flows, and the time to drain them, for a window of a given length. */
interface Traffic {
  flows(windowMs: number): number;
  capacity: number;
  drainMs?(flows: number): number;
}

function loadOf({ flows, capacity, drainMs = (n) => n / 2_000 }: Traffic, windowMs: number): WindowLoad {
  const distinct = flows(windowMs);
  const entries = Math.min(distinct, capacity);
  return {
    durationMs: windowMs,
    fill: entries / capacity,
    overflowed: distinct > capacity,
    drainMs: drainMs(entries),
  };
}

/** Lengths of so many windows in a row. */
function run(controller: WindowController, traffic: Traffic, windows: number): number[] {
  return Array.from({ length: windows }, () => controller.observe(loadOf(traffic, controller.windowMs)));
}

/** So many new flows a second. */
function newFlows(perSecond: number): (windowMs: number) => number {
  return (windowMs) => Math.round(perSecond * windowMs / 1000);
}

/** So many flows that never end, each heard of about every 200 ms. */
function steadyFlows(count: number): (windowMs: number) => number {
  return (windowMs) => Math.round(count * (1 - Math.exp(-windowMs / 200)));
}

Deno.test("WindowController starts at one second, and lengthens in a quiet place to ten", () => {
  const controller = new WindowController();
  assertEquals(controller.windowMs, 1_000);
  const lengths = run(controller, { flows: () => 0, capacity: 131_072 }, 12);
  assertEquals(lengths.filter((ms, i) => ms !== lengths[i - 1]), [1_000, 2_000, 5_000, 10_000]);
});

Deno.test("WindowController shortens at once when a flow finds no room, down to 250 ms", () => {
  const controller = new WindowController();
  const lengths = run(controller, { flows: newFlows(10_000_000), capacity: 131_072 }, 4);
  assertEquals(lengths, [500, 250, 250, 250]);
});

Deno.test("WindowController does not shorten a window that it would only spend on draining", () => {
  const controller = new WindowController();
  const traffic = { flows: newFlows(1_000_000), capacity: 100_000, drainMs: () => 300 };
  assertEquals(run(controller, traffic, 5), [1_000, 1_000, 1_000, 1_000, 1_000]);
});

Deno.test("WindowController lengthens where draining takes more than a tenth of the time and there is room", () => {
  const quick = new WindowController();
  const slow = new WindowController();
  const traffic = { flows: newFlows(30_000), capacity: 100_000 };
  assertEquals(run(quick, { ...traffic, drainMs: () => 50 }, 20).at(-1), 1_000);
  assertEquals(run(slow, { ...traffic, drainMs: () => 150 }, 20).at(-1), 2_000);
});

Deno.test("WindowController settles on one length under any steady load", () => {
  const seen = new Set<number>();
  for (const capacity of [1_000, 10_000, 131_072, 1_048_576]) {
    for (let rate = 1; rate < 100_000_000; rate *= 1.13) {
      for (const shape of [newFlows, steadyFlows]) {
        for (const perFlowMs of [0.0001, 0.002, 0.05]) {
          const controller = new WindowController();
          const traffic = { flows: shape(rate), capacity, drainMs: (flows: number) => flows * perFlowMs };
          run(controller, traffic, 30);
          const lengths = new Set(run(controller, traffic, 200));
          assertEquals(lengths.size, 1, `${shape.name} ${rate} in ${capacity}: ${[...lengths]}`);
          for (const ms of lengths) seen.add(ms);
        }
      }
    }
  }
  assertEquals(WINDOW_RUNGS_MS.filter((ms) => !seen.has(ms)), []);
});

Deno.test("WindowController changes seldom where the load wavers by a third from window to window", () => {
  // A fixed sequence: a third up, a third down, and the middle.
  const waver = [1, 1.33, 0.67, 1.2, 0.8, 1.33, 0.67];
  for (let rate = 100; rate < 10_000_000; rate *= 1.21) {
    const controller = new WindowController();
    let changes = 0;
    let before = controller.windowMs;
    for (let i = 0; i < 700; i++) {
      const traffic = { flows: newFlows(rate * waver[i % waver.length]), capacity: 131_072 };
      const ms = controller.observe(loadOf(traffic, controller.windowMs));
      if (ms !== before) changes++;
      before = ms;
    }
    assert(changes <= 5, `${changes} changes at ${rate} flows/s`);
  }
});

Deno.test("WindowController recovers after a burst", () => {
  const controller = new WindowController();
  const calm = { flows: newFlows(1_000), capacity: 131_072 };
  assertEquals(run(controller, calm, 30).at(-1), 10_000);
  assertEquals(run(controller, { ...calm, flows: newFlows(5_000_000) }, 10).at(-1), 250);
  assertEquals(run(controller, calm, 30).at(-1), 10_000);
});

Deno.test("WindowController is not misled by a last window that was cut short", () => {
  const controller = new WindowController();
  for (let i = 0; i < 5; i++) {
    controller.observe({ durationMs: 10, fill: 0.05, overflowed: false, drainMs: 1 });
    assertEquals(controller.windowMs, 1_000);
  }
});
