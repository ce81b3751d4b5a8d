/**
 * What agents are to send, as a file says. Each key may be left out:
 *
 *     events: [process_exec, network_connect]
 *     severity: info             # and what is more severe
 *     nets: [192.0.2.0/24]       # of connections
 *     debug_sampling: 10         # one debug event in ten
 */
import { parseCidr } from "../../net/address.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { EVENT_TYPES, SEVERITIES } from "../../events/event.ts";
import { integer, oneOf, YamlReader } from "../../runtime/yaml_reader.ts";

const KEYS = ["events", "severity", "nets", "debug_sampling"] as const;
const NETS_MAX = 16;
const SAMPLING_MAX = 1_000_000;

const NET = {
  expected: "a network like 192.0.2.0/24",
  take: (value: unknown) => typeof value === "string" && parseCidr(value) !== null ? value : null,
};

/** @throws {SyntaxError} one line, with line and column */
export function parseAgentFilter(text: string, fileName: string): Omit<FleetFilter, "generation"> {
  const reader = new YamlReader(text, fileName);
  const { events, severity, nets, debug_sampling: sampling } = reader.entries(
    reader.root(),
    `a map with keys of ${KEYS.join(", ")}`,
    KEYS,
  );
  return {
    events: events === undefined ? [] : reader.list("events", events, { itemsMax: EVENT_TYPES.length })
      .map((item) => reader.scalar("events", item, oneOf(EVENT_TYPES))),
    severity: severity === undefined ? null : reader.scalar("severity", severity, oneOf(SEVERITIES)),
    nets: nets === undefined
      ? []
      : reader.list("nets", nets, { itemsMax: NETS_MAX }).map((item) => reader.scalar("nets", item, NET)),
    debugSampling: sampling === undefined ? 1 : reader.scalar("debug_sampling", sampling, integer(1, SAMPLING_MAX)),
  };
}
