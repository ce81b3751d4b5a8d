/** A filter as a predicate over flows. */
import { hasPorts } from "../net/iana.ts";
import type { Direction } from "../wire/traffic.ts";
import type { FilterSide, FlowFilter } from "./language.ts";
import { hasPrefix, joinPairs } from "./predicates.ts";

/** What a filter looks at. The addresses are lent for the time of the call: 4 or 16 bytes, network order. */
export interface FilterableFlow {
  family: 4 | 6;
  src: Uint8Array;
  dst: Uint8Array;
  /** Host byte order. */
  sport: number;
  dport: number;
  proto: number;
  iface: string;
  direction: Direction;
  /**
   * The process that owns the flow, where it is known. `pid`, `comm` and `container` are false for a flow without an
   * owner.
   */
  pid?: number;
  comm?: string;
  /** The container's id, empty outside of one. */
  container?: string;
}

type Predicate = (flow: FilterableFlow) => boolean;

/** Makes a predicate of a parsed filter. It allocates nothing when called and keeps nothing of the flow. */
export function compileFlowFilter(expression: FlowFilter): Predicate {
  switch (expression.kind) {
    case "and":
      return joinPairs(expression.terms.map(compileFlowFilter), (left, right) => (flow) => left(flow) && right(flow));
    case "or":
      return joinPairs(expression.terms.map(compileFlowFilter), (left, right) => (flow) => left(flow) || right(flow));
    case "not": {
      const term = compileFlowFilter(expression.term);
      return (flow) => !term(flow);
    }
    case "family": {
      const { family } = expression;
      return (flow) => flow.family === family;
    }
    case "proto": {
      const { proto } = expression;
      return (flow) => flow.proto === proto;
    }
    case "direction": {
      const { direction } = expression;
      return (flow) => flow.direction === direction;
    }
    case "iface": {
      const { iface } = expression;
      return (flow) => flow.iface === iface;
    }
    case "net": {
      const family = expression.address.length === 4 ? 4 : 6;
      return forSide(
        expression.side,
        (flow) => flow.family === family && hasPrefix(flow.src, 0, expression),
        (flow) => flow.family === family && hasPrefix(flow.dst, 0, expression),
      );
    }
    case "port": {
      const { first, last } = expression;
      return forSide(
        expression.side,
        (flow) => flow.sport >= first && flow.sport <= last && hasPorts(flow.proto),
        (flow) => flow.dport >= first && flow.dport <= last && hasPorts(flow.proto),
      );
    }
    case "pid": {
      const { first, last } = expression;
      return ({ pid }) => pid !== undefined && pid >= first && pid <= last;
    }
    case "comm": {
      const { comm } = expression;
      return (flow) => flow.comm === comm;
    }
    case "container": {
      const { prefix } = expression;
      return ({ container }) => container !== undefined && container.startsWith(prefix);
    }
    default:
      return expression satisfies never;
  }
}

function forSide(side: FilterSide, src: Predicate, dst: Predicate): Predicate {
  if (side === "either") return (flow) => src(flow) || dst(flow);
  return side === "src" ? src : dst;
}
