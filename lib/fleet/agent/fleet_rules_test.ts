import { assertEquals } from "../../../tests/assert.ts";
import { parseCidr } from "../../net/address.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { EVENT_TYPES, type Severity } from "../../events/event.ts";
import type { FilterRule, RuleSet } from "../../events/rule_set.ts";
import { CongestionSampling, withFleetFilter } from "./fleet_rules.ts";

function wish(overrides: Partial<FleetFilter>): FleetFilter {
  return { generation: 1, events: [], severity: null, nets: [], debugSampling: 1, ...overrides };
}

const NONE: RuleSet = { rules: [] };

Deno.test("withFleetFilter() leaves rules alone where the server wants all", () => {
  assertEquals(withFleetFilter(NONE, null, 1), NONE);
  assertEquals(withFleetFilter(NONE, wish({}), 1), NONE);
});

Deno.test("withFleetFilter() keeps the wanted types, and of connections those of the wanted nets", () => {
  const { filters } = withFleetFilter(
    NONE,
    wish({ events: ["process_exec", "network_connect"], nets: ["192.0.2.0/24"] }),
    1,
  );
  assertEquals(filters!.map(({ match, action }) => ({ match, action })), [
    { match: { event: "process_exec" }, action: "keep" },
    { match: { event: "network_connect", net: parseCidr("192.0.2.0/24")! }, action: "keep" },
  ]);
});

Deno.test("withFleetFilter() gives what the operator keeps and the server wants, and drops what the operator drops", () => {
  const own: FilterRule[] = [
    { name: "a", match: { comm: "nginx" }, action: "keep" },
    { name: "b", match: { event: "file_open" }, action: "keep" },
    { name: "c", match: { uid: 0 }, action: "drop" },
    { name: "d", match: { net: parseCidr("192.0.0.0/16")! }, action: "keep" },
    { name: "e", match: { net: parseCidr("198.51.100.0/24")! }, action: "keep" },
  ];
  const { filters } = withFleetFilter(
    { rules: [], filters: own },
    wish({ events: ["tcp_state"], nets: ["192.0.2.0/24"] }),
    1,
  );
  const net = parseCidr("192.0.2.0/24")!;
  assertEquals(filters, [
    { name: "a", match: { comm: "nginx", event: "tcp_state", net }, action: "keep" },
    { name: "c", match: { uid: 0 }, action: "drop" },
    { name: "d", match: { event: "tcp_state", net }, action: "keep" },
  ]);
});

Deno.test("withFleetFilter() drops everything where the operator keeps nothing that the server wants", () => {
  const own: FilterRule[] = [{ name: "a", match: { event: "file_open" }, action: "keep" }];
  const { filters } = withFleetFilter({ rules: [], filters: own }, wish({ events: ["tcp_state"] }), 1);
  assertEquals(
    filters!.map(({ match, action }) => `${action} ${match.event}`),
    EVENT_TYPES.map((type) => `drop ${type}`),
  );
});

Deno.test("withFleetFilter() samples as sparsely as anybody wants", () => {
  assertEquals(withFleetFilter({ rules: [], debugOneIn: 5 }, wish({ debugSampling: 3 }), 1).debugOneIn, 5);
  assertEquals(withFleetFilter({ rules: [], debugOneIn: 5 }, wish({ debugSampling: 30 }), 16).debugOneIn, 30);
  assertEquals(withFleetFilter(NONE, null, 16).debugOneIn, 16);
  assertEquals(withFleetFilter(NONE, wish({ severity: "warning" }), 1), { rules: [], minimumSeverity: "warning" });
});

Deno.test("withFleetFilter() takes the stricter of two minimum severities, whoever asks for it", () => {
  const both = (own: Severity | undefined, severity: Severity | null) =>
    withFleetFilter({ rules: [], ...own && { minimumSeverity: own } }, wish({ severity }), 1);
  assertEquals(both(undefined, "debug").minimumSeverity, "debug");
  assertEquals(both("debug", "info").minimumSeverity, "info");
  assertEquals(both("info", "debug").minimumSeverity, "info");
  assertEquals(both("error", "critical").minimumSeverity, "critical");
  assertEquals(both("critical", "error").minimumSeverity, "critical");
  assertEquals(both("warning", "warning").minimumSeverity, "warning");
  assertEquals(both("warning", null).minimumSeverity, "warning");
  assertEquals(withFleetFilter({ rules: [], minimumSeverity: "error" }, null, 1).minimumSeverity, "error");
});

Deno.test("withFleetFilter() leaves the operator's own set as it was", () => {
  const own: RuleSet = { rules: [], filters: [], minimumSeverity: "info", debugOneIn: 2 };
  const before = structuredClone(own);
  withFleetFilter(own, wish({ events: ["tcp_state"], severity: "error", debugSampling: 4 }), 1);
  assertEquals(own, before);
});

Deno.test("CongestionSampling thins out quickly, and comes back slowly", () => {
  const sampling = new CongestionSampling();
  assertEquals([sampling.observe(true), sampling.oneIn], [false, 1]);
  assertEquals([sampling.observe(true), sampling.oneIn], [true, 4]);
  for (let second = 0; second < 100; second++) sampling.observe(true);
  assertEquals(sampling.oneIn, 4096);
  for (let second = 0; second < 9; second++) assertEquals(sampling.observe(false), false);
  assertEquals([sampling.observe(false), sampling.oneIn], [true, 1024]);
  sampling.observe(true);
  for (let second = 0; second < 60; second++) sampling.observe(false);
  assertEquals(sampling.oneIn, 1);
  for (let second = 0; second < 20; second++) assertEquals(sampling.observe(false), false);
});
