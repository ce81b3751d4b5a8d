import { assertEquals, assertThrows } from "../../../tests/assert.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { parseAgentFilter } from "./agent_filter.ts";

Deno.test("parseAgentFilter() reads YAML and JSON, and what is left out is all", () => {
  assertEquals(parseAgentFilter("{}", "f"), { events: [], severity: null, nets: [], debugSampling: 1 });
  const filter: Omit<FleetFilter, "generation"> = {
    events: ["process_exec", "tcp_state"],
    severity: "info",
    nets: ["192.0.2.0/24", "2001:db8::/32"],
    debugSampling: 10,
  };
  const { debugSampling, ...rest } = filter;
  assertEquals(parseAgentFilter(JSON.stringify({ ...rest, debug_sampling: debugSampling }), "f"), filter);
  assertEquals(
    parseAgentFilter(
      'events: [process_exec, tcp_state]\nseverity: info\nnets: [192.0.2.0/24, "2001:db8::/32"]\ndebug_sampling: 10\n',
      "f",
    ),
    filter,
  );
});

Deno.test("parseAgentFilter() names line and column of a mistake", () => {
  assertThrows(() => parseAgentFilter("severity: infos\n", "f.yaml"), SyntaxError, "f.yaml:1:11: severity takes");
  assertThrows(
    () => parseAgentFilter("nets: [192.0.2.0]\n", "f.yaml"),
    SyntaxError,
    "f.yaml:1:8: nets takes a network",
  );
  assertThrows(() => parseAgentFilter("event: []\n", "f.yaml"), SyntaxError, "did you mean events?");
});
