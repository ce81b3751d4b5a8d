/**
 * A server's wishes, as rules for the kernel: what an operator's own rules let through and the server wants as well.
 */
import { type Cidr, parseCidr } from "../../net/address.ts";
import type { FleetFilter } from "../fleet_filter.ts";
import { ADDRESSED_TYPES, EVENT_TYPES, type EventType, SEVERITIES, type Severity } from "../../events/event.ts";
import type { FilterMatch, FilterRule, RuleSet } from "../../events/rule_set.ts";

/** Under congestion: up to one in so many, four times fewer each time. */
const CONGESTED_SAMPLING_MAX = 4096;
const CONGESTED_STEP = 4;
const CONGESTED_SECONDS = 2;
const RELIEVED_SECONDS = 10;

/** @returns `own` without what the server does not want */
export function withFleetFilter(own: RuleSet, filter: FleetFilter | null, debugOneIn: number): RuleSet {
  const both = { ...own };
  const sampling = Math.max(own.debugOneIn ?? 1, filter?.debugSampling ?? 1, debugOneIn);
  if (sampling > 1) both.debugOneIn = sampling;
  if (filter === null) return both;
  if (filter.severity !== null) both.minimumSeverity = stricter(filter.severity, own.minimumSeverity);
  const wanted = wantedMatches(filter);
  if (wanted.length > 0) both.filters = intersect(own.filters ?? [], wanted);
  return both;
}

function stricter(a: Severity, b: Severity = a): Severity {
  return SEVERITIES[Math.min(SEVERITIES.indexOf(a), SEVERITIES.indexOf(b))];
}

/** Empty where all are wanted. */
function wantedMatches({ events, nets }: FleetFilter): FilterMatch[] {
  const cidrs = nets.map(parseCidr).filter((net) => net !== null);
  if (events.length === 0 && cidrs.length === 0) return [];
  const types: readonly EventType[] = events.length > 0 ? events : EVENT_TYPES;
  return types.flatMap((event): FilterMatch[] =>
    cidrs.length > 0 && ADDRESSED_TYPES.includes(event) ? cidrs.map((net) => ({ event, net })) : [{ event }]
  );
}

/** The first filter that matches applies: each that keeps now keeps only what is wanted, and those that drop stay. */
function intersect(own: FilterRule[], wanted: FilterMatch[]): FilterRule[] {
  const name = "wanted by the server";
  const filters = own.flatMap((filter): FilterRule[] => {
    if (filter.action === "drop") return [filter];
    return wanted.flatMap((match) => {
      const both = conjunction(filter.match, match);
      return both === null ? [] : [{ name: filter.name, match: both, action: "keep" as const }];
    });
  });
  if (!own.some(({ action }) => action === "keep")) {
    return [...filters, ...wanted.map((match) => ({ name, match, action: "keep" as const }))];
  }
  if (filters.some(({ action }) => action === "keep")) return filters;
  // Nothing is wanted by both. Without a filter that keeps, everything would get through.
  return [...filters, ...EVENT_TYPES.map((event) => ({ name, match: { event }, action: "drop" as const }))];
}

/** What both match; null where that is nothing. */
function conjunction(own: FilterMatch, wanted: FilterMatch): FilterMatch | null {
  if (own.event !== undefined && own.event !== wanted.event) return null;
  if (own.net === undefined || wanted.net === undefined) return { ...own, ...wanted };
  const net = narrower(own.net, wanted.net);
  return net === null ? null : { ...own, ...wanted, net };
}

function narrower(a: Cidr, b: Cidr): Cidr | null {
  const [wide, narrow] = a.prefix <= b.prefix ? [a, b] : [b, a];
  if (wide.address.length !== narrow.address.length) return null;
  for (let bit = 0; bit < wide.prefix; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((wide.address[bit >> 3] ^ narrow.address[bit >> 3]) & mask) !== 0) return null;
  }
  return narrow;
}

/** How far debug events are thinned out while a server takes less than there is. To be told the state once a second. */
export class CongestionSampling {
  #oneIn = 1;
  #seconds = 0;
  #relievedSeconds = 0;

  get oneIn(): number {
    return this.#oneIn;
  }

  /** @returns whether it has changed */
  observe(congested: boolean): boolean {
    const before = this.#oneIn;
    if (congested) {
      this.#relievedSeconds = 0;
      if (++this.#seconds % CONGESTED_SECONDS === 0) {
        this.#oneIn = Math.min(CONGESTED_SAMPLING_MAX, this.#oneIn * CONGESTED_STEP);
      }
    } else {
      this.#seconds = 0;
      if (++this.#relievedSeconds % RELIEVED_SECONDS === 0) this.#oneIn = Math.max(1, this.#oneIn / CONGESTED_STEP);
    }
    return this.#oneIn !== before;
  }
}
