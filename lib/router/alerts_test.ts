import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { healthReport, ringCounters } from "../../tests/support/events.ts";
import { AlertEngine } from "./alerts.ts";
import type { HealthReport, RingCounters } from "./router_messages.ts";
import type { RingName } from "../events/event.ts";

/** A report of one ring, so many seconds after the epoch. */
function report(seconds: number, ring: RingName, counters: Partial<RingCounters>): HealthReport {
  return healthReport({ unixNs: BigInt(seconds * 1e9), rings: [ringCounters(ring, counters)] });
}

Deno.test("AlertEngine stays silent while nothing is lost", () => {
  const engine = new AlertEngine();
  assertEquals(engine.observe(healthReport()), []);
  assertEquals(engine.observe(report(1, "critical", { submitted: 5n, spilled: 5n, failures: 1n })), []);
});

Deno.test("AlertEngine.observe() is an error for the first critical event that is dropped", () => {
  assertEquals(new AlertEngine().observe(report(1, "critical", { submitted: 999n, dropped: 1n })), [{
    alert: "critical_dropped",
    level: "error",
    message: "critical events were dropped (1): all rings were full; raise --ring-critical or --ring-max, or lower " +
      "--rate-limit",
    fields: { ring: "critical", dropped_total: 1n, capacity_bytes: 131_072, dropped: 1n },
  }]);
});

Deno.test("AlertEngine judges the normal ring by its drops since the last report", () => {
  const engine = new AlertEngine();
  assertEquals(engine.observe(report(1, "normal", { submitted: 90n, dropped: 10n })), []);
  const [alert] = engine.observe(report(2, "normal", { submitted: 178n, dropped: 22n }));
  assertEquals([alert.alert, alert.level], ["normal_drop_rate", "warning"]);
  assertStringIncludes(alert.message, "12.0 % of the normal events were dropped (12): the ring of 524288 bytes");
  assertStringIncludes(alert.message, "raise --ring-normal");
  assertEquals(alert.fields, {
    ring: "normal",
    dropped_total: 22n,
    capacity_bytes: 524_288,
    dropped: 12n,
    drop_rate: 0.12,
  });
  // What was lost before is no news.
  assertEquals(engine.observe(report(100, "normal", { submitted: 1178n, dropped: 22n })), []);
});

Deno.test("AlertEngine judges the debug ring by the setting", () => {
  const lossy = report(1, "debug", { submitted: 40n, dropped: 60n });
  assertEquals(new AlertEngine().observe(lossy).map(({ alert }) => alert), ["debug_drop_rate"]);
  assertEquals(new AlertEngine({ debugDropRateMax: 0.6 }).observe(lossy), []);
  const all = report(1, "debug", { dropped: 60n });
  assertEquals(new AlertEngine({ debugDropRateMax: 1 }).observe(all), []);
});

Deno.test("AlertEngine holds back what it said lately, and then says how often and how many", () => {
  const engine = new AlertEngine({ intervalMs: 10_000 });
  const dropped = (seconds: number, count: bigint) => engine.observe(report(seconds, "critical", { dropped: count }));
  assertEquals(dropped(0, 1n).length, 1);
  assertEquals([...dropped(1, 3n), ...dropped(9, 6n)], []);
  const [alert] = dropped(10, 10n);
  assertStringIncludes(alert.message, "critical events were dropped (9)");
  assertStringIncludes(alert.message, "(2 times more since the last such alert)");
  assertEquals([alert.fields.dropped, alert.fields.held_back], [9n, 2]);
  assertEquals(dropped(21, 11n)[0].fields.held_back, undefined);
});

Deno.test("AlertEngine holds back each alert for itself", () => {
  const engine = new AlertEngine();
  assertEquals(engine.observe(report(1, "critical", { dropped: 1n })).length, 1);
  assertEquals(engine.observe(report(2, "normal", { dropped: 1n })).length, 1);
});

Deno.test("AlertEngine is not silenced by a clock that is set back", () => {
  const engine = new AlertEngine();
  assertEquals(engine.observe(report(1000, "critical", { dropped: 1n })).length, 1);
  assertEquals(engine.observe(report(10, "critical", { dropped: 2n })).length, 1);
});
