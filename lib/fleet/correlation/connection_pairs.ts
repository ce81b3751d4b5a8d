/**
 * Connections that two hosts see from their two ends. A host that shows both ends forwards the connection, or talks to
 * itself, and does not count as an end. The client is the end that the kernel's sockets name as the client, or else the
 * end with the larger port.
 */
import { AgedMap } from "./aged_map.ts";
import { protocolName } from "../../net/iana.ts";
import { type ConnectionView, connectionViewOf } from "./connection.ts";
import { closeGroup, type GroupSink, type Limits, memberOf } from "./group.ts";
import type { CloseReason, Doubt, GroupMember, RuleOfKind } from "./correlated_group.ts";
import { isFlow, startUnixNsOf, type Timed, toUs } from "./record.ts";

const US_PER_MS = 1_000;
const CLOCKS_APART_MAX_US = 1_000_000;
/** The most hosts that are kept of one connection. */
const HOSTS_MAX = 8;

/** What one host has shown of a connection. */
interface End {
  agent: string;
  /** Which ends the host has shown, in the order of the connection's name. */
  first: boolean;
  second: boolean;
  startUs: number;
  clientEnd: "first" | "second" | null;
  members: GroupMember[];
  leftOut: number;
  bytes: number;
  comm: string;
  pid: number;
}

interface Connection {
  proto: number;
  first: { name: string; port: number };
  second: { name: string; port: number };
  startUs: number;
  lastUs: number;
  ends: End[];
  moreHosts: boolean;
  members: number;
}

export class ConnectionPairs {
  readonly #rules: RuleOfKind<"connection_pair">[];
  readonly #limits: Limits;
  readonly #sink: GroupSink;
  readonly #windowUs: number;
  /** By the connection's name, the oldest first. */
  #connections = new AgedMap<string, Connection>();
  #openEvicted = 0;

  constructor(rules: RuleOfKind<"connection_pair">[], limits: Limits, sink: GroupSink) {
    this.#rules = rules;
    this.#limits = limits;
    this.#sink = sink;
    this.#windowUs = Math.max(0, ...rules.map(({ windowMs }) => windowMs * US_PER_MS));
  }

  get counts() {
    return { open: this.#connections.size, openEvicted: this.#openEvicted };
  }

  /** Whether a record shows a connection, and there are rules for connections. */
  takes(record: Timed["record"]): boolean {
    return this.#rules.length > 0 && connectionViewOf(record) !== null;
  }

  /** Adds a record; records are added in the order of their times over the whole fleet. */
  add(timed: Timed): void {
    const view = connectionViewOf(timed.record);
    if (view === null) return;
    const connection = this.#current(view, timed.timeUs) ?? this.#open(view, timed.timeUs);
    connection.lastUs = timed.timeUs;
    const end = this.#endOf(connection, timed);
    if (end === null) return;
    const isFirst = view.local === connection.first.name;
    if (isFirst) end.first = true;
    else end.second = true;
    if (view.role !== null) end.clientEnd = (view.role === "client") === isFirst ? "first" : "second";
    this.#fill(connection, end, timed);
  }

  closeBefore(watermarkUs: number): void {
    for (const [key, connection] of this.#connections) {
      if (connection.lastUs + this.#windowUs < watermarkUs) this.#close(key, connection, "window");
    }
  }

  flush(): void {
    for (const [key, connection] of this.#connections) this.#close(key, connection, "flush");
  }

  #current({ connection: key }: ConnectionView, timeUs: number): Connection | null {
    const connection = this.#connections.get(key);
    if (connection === undefined) return null;
    const isPast = timeUs - connection.lastUs > this.#windowUs;
    const isLong = timeUs - connection.startUs > this.#windowUs * this.#limits.spanWindows;
    if (!isPast && !isLong) return connection;
    this.#close(key, connection, isPast ? "window" : "span");
    return null;
  }

  #open({ connection: key, proto, local, remote, localPort, remotePort }: ConnectionView, timeUs: number): Connection {
    if (this.#connections.size >= this.#limits.openMax) {
      const [oldestKey, oldest] = this.#connections.takeOldest()!;
      this.#openEvicted++;
      this.#close(oldestKey, oldest, "evicted");
    }
    const [here, there] = [{ name: local, port: localPort }, { name: remote, port: remotePort }];
    const [first, second] = local < remote ? [here, there] : [there, here];
    const connection: Connection = {
      proto,
      first,
      second,
      startUs: timeUs,
      lastUs: timeUs,
      ends: [],
      moreHosts: false,
      members: 0,
    };
    this.#connections.set(key, connection);
    return connection;
  }

  #endOf(connection: Connection, { record, timeUs }: Timed): End | null {
    const known = connection.ends.find(({ agent }) => agent === record.agent);
    if (known !== undefined) return known;
    if (connection.ends.length >= HOSTS_MAX) {
      connection.moreHosts = true;
      return null;
    }
    const end: End = {
      agent: record.agent,
      first: false,
      second: false,
      startUs: Math.min(timeUs, toUs(startUnixNsOf(record))),
      clientEnd: null,
      members: [],
      leftOut: 0,
      bytes: 0,
      comm: "",
      pid: 0,
    };
    connection.ends.push(end);
    return end;
  }

  #fill(connection: Connection, end: End, { record }: Timed): void {
    const { pid, comm } = isFlow(record) ? record.flow : record.event;
    if (end.comm === "" && comm) [end.comm, end.pid] = [comm, pid ?? 0];
    if (isFlow(record)) end.bytes += record.flow.bytes;
    if (!this.#limits.members.take(connection.members)) {
      end.leftOut++;
      return;
    }
    connection.members++;
    end.members.push(memberOf(record, "outbound"));
  }

  #close(key: string, connection: Connection, closed: CloseReason): void {
    this.#connections.delete(key);
    this.#limits.members.give(connection.members);
    const { ends, first, second, moreHosts } = connection;
    const firsts = ends.filter((end) => end.first && !end.second && end.members.length > 0);
    const seconds = ends.filter((end) => end.second && !end.first && end.members.length > 0);
    if (firsts.length === 0 || seconds.length === 0) return;
    // In the order of their times, so that the earliest of each stands for its end.
    const [atFirst, atSecond] = [firsts[0], seconds[0]];
    const apartUs = Math.abs(atFirst.startUs - atSecond.startUs);

    const told = atFirst.clientEnd ?? atSecond.clientEnd;
    const clientEnd = told ?? (first.port >= second.port ? "first" : "second");
    const doubts: Doubt[] = [
      ...told === null ? ["roles_guessed" as const] : [],
      ...apartUs > CLOCKS_APART_MAX_US ? ["clocks_disagree" as const] : [],
      ...firsts.length + seconds.length > 2 || moreHosts ? ["more_than_two_hosts" as const] : [],
    ];
    const [client, server] = clientEnd === "first" ? [atFirst, atSecond] : [atSecond, atFirst];
    const [src, dst] = clientEnd === "first" ? [first, second] : [second, first];
    const membersLeftOut = client.leftOut + server.leftOut;
    const members = joined(client, server);
    for (const rule of this.#rules) {
      if (rule.port !== undefined && rule.port !== first.port && rule.port !== second.port) continue;
      if (apartUs > rule.windowMs * US_PER_MS) continue;
      this.#sink(closeGroup(rule, {
        key,
        first: members[0],
        members,
        membersLeftOut,
        closed,
        doubts,
        words: {
          host: client.agent,
          server_host: server.agent,
          comm: client.comm || "a process",
          server_comm: server.comm || "a process",
          pid: client.pid,
          src: src.name,
          dst: dst.name,
          port: dst.port,
          protocol: protocolName(connection.proto),
          bytes: Math.max(client.bytes, server.bytes),
        },
      }));
    }
  }

  save() {
    return { connections: this.#connections.saved, openEvicted: this.#openEvicted };
  }

  load({ connections, openEvicted }: ReturnType<ConnectionPairs["save"]>): void {
    this.#connections = new AgedMap(connections);
    this.#openEvicted = openEvicted;
  }
}

/** The members of both ends by time. What a host saw first stands for it: linked to the other's, parent of the rest. */
function joined(client: End, server: End): GroupMember[] {
  const members = [
    ...client.members.map((member): GroupMember => ({ ...member, role: "outbound" })),
    ...server.members.map((member): GroupMember => ({ ...member, role: "inbound" })),
  ].sort((left, right) => left.endUnixNs < right.endUnixNs ? -1 : left.endUnixNs > right.endUnixNs ? 1 : 0);
  const clientAt = members.findIndex(({ role }) => role === "outbound");
  const serverAt = members.findIndex(({ role }) => role === "inbound");
  members[clientAt].links = [serverAt];
  members[serverAt].links = [clientAt];
  for (const [at, member] of members.entries()) {
    const head = member.role === "outbound" ? clientAt : serverAt;
    if (at !== head) member.parent = head;
  }
  return members;
}
