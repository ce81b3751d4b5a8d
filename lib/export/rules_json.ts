/** A rule set as plain data, in the shape of a rule file. `GET /api/v1/rules` shows it, and `PUT` accepts it. */
import { formatAddress } from "../net/address.ts";
import type { FilterMatch, FilterRule, RuleSet, SeverityRule, WatchList } from "../events/rule_set.ts";

export function ruleSetObject(
  { rules, filters, watch, minimumSeverity, rateLimit, debugOneIn }: RuleSet,
): Record<string, unknown> {
  return {
    rules: rules.map(ruleObject),
    ...filters && { filters: filters.map(filterObject) },
    ...watch && { watch: watch.map(watchObject) },
    ...minimumSeverity !== undefined && { minimum_severity: minimumSeverity },
    ...rateLimit !== undefined && { rate_limit: rateLimit },
    ...debugOneIn !== undefined && { sampling: { debug: debugOneIn } },
  };
}

function ruleObject({ name, match, action }: SeverityRule): Record<string, unknown> {
  const judged = "set" in action ? { severity: action.set } : { at_least: action.atLeast };
  return { name, match: matchObject(match), ...judged };
}

function filterObject({ name, match, action }: FilterRule): Record<string, unknown> {
  return { name, match: matchObject(match), action };
}

function watchObject({ name, nets, ports, atLeast }: WatchList): Record<string, unknown> {
  return { name, nets: nets.map(netText), ports, at_least: atLeast };
}

function matchObject({ pathPrefix, net, ...match }: FilterMatch): Record<string, unknown> {
  return {
    ...match,
    ...pathPrefix !== undefined && { path_prefix: pathPrefix },
    ...net !== undefined && { net: netText(net) },
  };
}

function netText({ address, prefix }: NonNullable<FilterMatch["net"]>): string {
  return `${formatAddress(address)}/${prefix}`;
}
