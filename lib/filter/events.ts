/**
 * A filter as a predicate over the raw records of events: it compares bytes and makes no text.
 *
 * What has addresses, ports or a path, and where, is in the descriptions of the types of events: of other events
 * `host`, `net`, `port`, `ip`, `ip6` and `path` are false. A connect has a destination only. Its protocol is not in the
 * record, so `tcp` and `proto` look at states of TCP alone, and `udp` is true for none.
 */
import { AF_INET, AF_INET6 } from "../net/address_family.ts";
import { EVENT } from "../wire/layouts.gen.ts";
import { categorise, priorityOf } from "../events/categorise.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { EVENT_TYPES } from "../events/event.ts";
import {
  destinationAt,
  destinationPort,
  familyOf,
  pathAt,
  pathEnd,
  protocolOf,
  sourceAt,
  sourcePort,
} from "./event_places.ts";
import type { EventFilter, EventPrimitive, FilterSide, Range } from "./language.ts";
import { hasPrefix, joinPairs } from "./predicates.ts";

type Predicate = (batch: EventBatch, i: number) => boolean;

const COMM_AT = EVENT.fields.comm.offset;
const CGROUP_AT = EVENT.fields.cgroup_id.offset;

/** Makes a predicate of a parsed filter, for records that FilterStage found sound. It allocates nothing when called. */
export function compileEventFilter(expression: EventFilter): Predicate {
  switch (expression.kind) {
    case "and":
      return joinPairs(
        expression.terms.map(compileEventFilter),
        (left, right) => (batch, i) => left(batch, i) && right(batch, i),
      );
    case "or":
      return joinPairs(
        expression.terms.map(compileEventFilter),
        (left, right) => (batch, i) => left(batch, i) || right(batch, i),
      );
    case "not": {
      const term = compileEventFilter(expression.term);
      return (batch, i) => !term(batch, i);
    }
    default:
      return compilePrimitive(expression);
  }
}

function compilePrimitive(primitive: EventPrimitive): Predicate {
  switch (primitive.kind) {
    case "family": {
      const family = primitive.family === 4 ? AF_INET : AF_INET6;
      return (batch, i) => familyOf(batch, i) === family;
    }
    case "proto": {
      const { proto } = primitive;
      // Protocol 0 would be that of events that have none.
      return (batch, i) => proto !== 0 && protocolOf(batch, i) === proto;
    }
    case "net":
      return forSide(primitive.side, addressIn(sourceAt, primitive), addressIn(destinationAt, primitive));
    case "port":
    case "pid":
    case "uid":
    case "severity":
    case "priority":
      return compileRange(primitive);
    case "comm": {
      const comm = new TextEncoder().encode(`${primitive.comm}\0`);
      return (batch, i) => startsWith(batch.bytes, batch.offsets[i] + COMM_AT, comm);
    }
    case "event": {
      const type = EVENT_TYPES.indexOf(primitive.event);
      return (batch, i) => batch.type(i) === type;
    }
    case "category": {
      const { category } = primitive;
      return (batch, i) => categorise(batch.type(i)) === category;
    }
    case "path":
      return pathStartsWith(primitive.prefix);
    case "cgroup":
      return cgroupIs(primitive.id);
    default:
      return primitive satisfies never;
  }
}

function forSide(side: FilterSide, src: Predicate, dst: Predicate): Predicate {
  if (side === "either") return (batch, i) => src(batch, i) || dst(batch, i);
  return side === "src" ? src : dst;
}

/** A function each, though they are alike: a call of one that they all pass through would cost as much as the rest. */
function compileRange(primitive: Extract<EventPrimitive, Range>): Predicate {
  const { first, last } = primitive;
  switch (primitive.kind) {
    case "port":
      return forSide(
        primitive.side,
        (batch, i) => isWithin(sourcePort(batch, i), first, last),
        (batch, i) => isWithin(destinationPort(batch, i), first, last),
      );
    case "pid":
      return (batch, i) => isWithin(batch.pid(i), first, last);
    case "uid":
      return (batch, i) => isWithin(batch.uid(i), first, last);
    case "severity":
      return (batch, i) => isWithin(batch.severity(i), first, last);
    case "priority":
      return (batch, i) => isWithin(priorityOf(batch.severity(i)), first, last);
    default:
      return primitive satisfies never;
  }
}

function isWithin(number: number, first: number, last: number): boolean {
  return number >= first && number <= last;
}

/** @param placeOf where an address is in the batch; 0 for none */
function addressIn(
  placeOf: (batch: EventBatch, i: number) => number,
  net: { address: Uint8Array; prefix: number },
): Predicate {
  const family = net.address.length === 4 ? AF_INET : AF_INET6;
  return (batch, i) => {
    const at = placeOf(batch, i);
    return at !== 0 && familyOf(batch, i) === family && hasPrefix(batch.bytes, at, net);
  };
}

function pathStartsWith(text: string): Predicate {
  const prefix = new TextEncoder().encode(text);
  return (batch, i) => {
    const at = pathAt(batch, i);
    return at !== 0 && at + prefix.length <= pathEnd(batch, i) && startsWith(batch.bytes, at, prefix);
  };
}

/** Compares halves: a bigint each time would be an allocation. */
function cgroupIs(id: bigint): Predicate {
  const low = Number(id & 0xffffffffn);
  const high = Number(id >> 32n);
  return (batch, i) => {
    const at = batch.offsets[i] + CGROUP_AT;
    return batch.data.getUint32(at, true) === low && batch.data.getUint32(at + 4, true) === high;
  };
}

function startsWith(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}
