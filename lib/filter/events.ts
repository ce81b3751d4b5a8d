/**
 * A filter as a predicate over the raw records of events: it compares bytes and makes no text.
 *
 * Addresses and ports are those of `network_connect` and `tcp_state`; of other events `host`, `net`, `port`, `ip` and
 * `ip6` are false. A connect has a destination only. Its protocol is not in the record, so `tcp` and `proto` look at
 * `tcp_state` alone, and `udp` is true for none. `path` looks at what was opened or executed, and at the path of a
 * violation or a limit.
 */
import { AF_INET, AF_INET6 } from "../net/address_family.ts";
import { PROTO_TCP } from "../net/iana.ts";
import {
  CONNECT_PAYLOAD,
  EVENT,
  EVENT_TYPE,
  EXEC_PAYLOAD,
  OPEN_PAYLOAD,
  TCP_PAYLOAD,
  VIOLATION_PAYLOAD,
} from "../wire/layouts.gen.ts";
import { categorise, priorityOf } from "../events/categorise.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { EVENT_TYPES } from "../events/event.ts";
import { type EventFilter, type FilterSide, hasPrefix, joinPairs } from "./language.ts";

type Predicate = (batch: EventBatch, i: number) => boolean;

const { EVENT_PROCESS_EXEC, EVENT_FILE_OPEN, EVENT_NETWORK_CONNECT, EVENT_TCP_STATE } = EVENT_TYPE;
const { EVENT_SECURITY_VIOLATION, EVENT_RESOURCE_LIMIT } = EVENT_TYPE;

const COMM_AT = EVENT.fields.comm.offset;
const CGROUP_AT = EVENT.fields.cgroup_id.offset;

/** Offsets in a record of what has addresses. */
const CONNECT_AT = {
  family: EVENT.size + CONNECT_PAYLOAD.fields.family.offset,
  address: EVENT.size + CONNECT_PAYLOAD.fields.address.offset,
  port: EVENT.size + CONNECT_PAYLOAD.fields.port.offset,
};
const TCP_AT = {
  family: EVENT.size + TCP_PAYLOAD.fields.family.offset,
  src: EVENT.size + TCP_PAYLOAD.fields.src.offset,
  dst: EVENT.size + TCP_PAYLOAD.fields.dst.offset,
  sport: EVENT.size + TCP_PAYLOAD.fields.sport.offset,
  dport: EVENT.size + TCP_PAYLOAD.fields.dport.offset,
};
const FILENAME_LENGTH_AT = EVENT.size + EXEC_PAYLOAD.fields.filename_len.offset;

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
    case "family": {
      const family = expression.family === 4 ? AF_INET : AF_INET6;
      return (batch, i) => familyOf(batch, i) === family;
    }
    case "proto": {
      const isTcp = expression.proto === PROTO_TCP;
      return (batch, i) => isTcp && batch.type(i) === EVENT_TCP_STATE;
    }
    case "net": {
      const family = expression.address.length === 4 ? AF_INET : AF_INET6;
      return forSide(
        expression.side,
        (batch, i) => {
          const at = sourceAt(batch, i);
          return at !== 0 && familyOf(batch, i) === family && hasPrefix(batch.bytes, at, expression);
        },
        (batch, i) => {
          const at = destinationAt(batch, i);
          return at !== 0 && familyOf(batch, i) === family && hasPrefix(batch.bytes, at, expression);
        },
      );
    }
    case "port": {
      const { first, last } = expression;
      return forSide(
        expression.side,
        (batch, i) => {
          const port = sourcePort(batch, i);
          return port >= first && port <= last;
        },
        (batch, i) => {
          const port = destinationPort(batch, i);
          return port >= first && port <= last;
        },
      );
    }
    case "pid": {
      const { first, last } = expression;
      return (batch, i) => {
        const pid = batch.pid(i);
        return pid >= first && pid <= last;
      };
    }
    case "uid": {
      const { first, last } = expression;
      return (batch, i) => {
        const uid = batch.uid(i);
        return uid >= first && uid <= last;
      };
    }
    case "comm": {
      const comm = new TextEncoder().encode(`${expression.comm}\0`);
      return (batch, i) => startsWith(batch.bytes, batch.offsets[i] + COMM_AT, comm);
    }
    case "event": {
      const type = EVENT_TYPES.indexOf(expression.event);
      return (batch, i) => batch.type(i) === type;
    }
    case "severity": {
      const { first, last } = expression;
      return (batch, i) => {
        const severity = batch.severity(i);
        return severity >= first && severity <= last;
      };
    }
    case "priority": {
      const { first, last } = expression;
      return (batch, i) => {
        const priority = priorityOf(batch.severity(i));
        return priority >= first && priority <= last;
      };
    }
    case "category": {
      const { category } = expression;
      return (batch, i) => categorise(batch.type(i)) === category;
    }
    case "path": {
      const prefix = new TextEncoder().encode(expression.prefix);
      return (batch, i) => {
        const at = pathAt(batch, i);
        return at !== 0 && at + prefix.length <= pathEnd(batch, i) && startsWith(batch.bytes, at, prefix);
      };
    }
    case "cgroup": {
      const low = Number(expression.id & 0xffffffffn);
      const high = Number(expression.id >> 32n);
      return (batch, i) => {
        const at = batch.offsets[i] + CGROUP_AT;
        return batch.data.getUint32(at, true) === low && batch.data.getUint32(at + 4, true) === high;
      };
    }
    default:
      return expression satisfies never;
  }
}

function forSide(side: FilterSide, src: Predicate, dst: Predicate): Predicate {
  if (side === "either") return (batch, i) => src(batch, i) || dst(batch, i);
  return side === "src" ? src : dst;
}

function startsWith(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

/** AF_INET, AF_INET6, AF_UNIX; 0 for an event without addresses. */
function familyOf(batch: EventBatch, i: number): number {
  const type = batch.type(i);
  if (type === EVENT_TCP_STATE) return batch.data.getUint16(batch.offsets[i] + TCP_AT.family, true);
  return type === EVENT_NETWORK_CONNECT ? batch.data.getUint16(batch.offsets[i] + CONNECT_AT.family, true) : 0;
}

/** Where the source address is; 0 where there is none, for a payload starts behind its header. */
function sourceAt(batch: EventBatch, i: number): number {
  return batch.type(i) === EVENT_TCP_STATE ? batch.offsets[i] + TCP_AT.src : 0;
}

function destinationAt(batch: EventBatch, i: number): number {
  const type = batch.type(i);
  if (type === EVENT_TCP_STATE) return batch.offsets[i] + TCP_AT.dst;
  return type === EVENT_NETWORK_CONNECT ? batch.offsets[i] + CONNECT_AT.address : 0;
}

/** -1 where there is none. */
function sourcePort(batch: EventBatch, i: number): number {
  return batch.type(i) === EVENT_TCP_STATE ? batch.data.getUint16(batch.offsets[i] + TCP_AT.sport, true) : -1;
}

function destinationPort(batch: EventBatch, i: number): number {
  const type = batch.type(i);
  const { data, offsets } = batch;
  if (type === EVENT_TCP_STATE) return data.getUint16(offsets[i] + TCP_AT.dport, true);
  if (type !== EVENT_NETWORK_CONNECT) return -1;
  const family = data.getUint16(offsets[i] + CONNECT_AT.family, true);
  return family === AF_INET || family === AF_INET6 ? data.getUint16(offsets[i] + CONNECT_AT.port, true) : -1;
}

/** Where the path starts; 0 for an event without one. */
function pathAt(batch: EventBatch, i: number): number {
  switch (batch.type(i)) {
    case EVENT_FILE_OPEN:
      return batch.offsets[i] + EVENT.size + OPEN_PAYLOAD.size;
    case EVENT_PROCESS_EXEC:
      return batch.offsets[i] + EVENT.size + EXEC_PAYLOAD.size;
    case EVENT_SECURITY_VIOLATION:
    case EVENT_RESOURCE_LIMIT:
      return batch.offsets[i] + EVENT.size + VIOLATION_PAYLOAD.size;
    default:
      return 0;
  }
}

/** Behind the last byte of the path of an event that has one. */
function pathEnd(batch: EventBatch, i: number): number {
  if (batch.type(i) !== EVENT_PROCESS_EXEC) return batch.offsets[i] + batch.lengths[i];
  return pathAt(batch, i) + batch.data.getUint16(batch.offsets[i] + FILENAME_LENGTH_AT, true);
}
