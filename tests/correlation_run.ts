/** Runs records through an engine of their own. */
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import type { CorrelatedGroup, CorrelationOptions, FleetRecord } from "../lib/fleet/correlation/correlated_group.ts";
import { unixNsOf } from "../lib/fleet/correlation/record.ts";
import { parseCorrelationRules } from "../lib/fleet/correlation/rules.ts";

const HOUR_NS = 3_600_000_000_000n;

/** @param rules as in a file */
export function openEngine(rules: string, options: Partial<CorrelationOptions> = {}) {
  const groups: CorrelatedGroup[] = [];
  const engine = new CorrelationEngine(parseCorrelationRules(rules, "rules"), (group) => groups.push(group), options);
  return { engine, groups };
}

/** All of them, and an hour in which nothing more happens. */
export function correlate(rules: string, records: readonly FleetRecord[], options: Partial<CorrelationOptions> = {}) {
  const { engine, groups } = openEngine(rules, options);
  for (const record of records) engine.add(record);
  engine.advance(records.reduce((last, record) => max(last, unixNsOf(record)), 0n) + HOUR_NS);
  engine.flush();
  return { groups, stats: engine.stats() };
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
