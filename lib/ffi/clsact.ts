/**
 * Counting at tc hooks without TCX, that is before Linux 6.6: filters of the clsact qdisc. No descriptor holds such a
 * filter, so three things stand in for what a link does by itself:
 *
 * - Its program only calls, through a map of programs, the one that counts. When the owner has ended, however it ended,
 *   the kernel empties that map and frees what counts with all its maps. What is left does nothing.
 * - Its name holds the name of a socket that its owner keeps bound, in the network namespace that the interface is in.
 *   Whoever is in that namespace can tell by it whether the owner lives, whatever pid namespace or user it has.
 * - Whoever attaches, and `ebpfmon detach`, removes the filters whose owner has ended.
 */
import type { Direction } from "../wire/traffic.ts";
import { EINVAL, ENOENT, EOPNOTSUPP, EPERM, PrivilegeError, SystemError, UnsupportedError } from "../runtime/errors.ts";
import { interfaceNameOf, Socket } from "./libc.ts";
import { RouteSocket } from "./netlink.ts";
import {
  addClsact,
  addFilter,
  earliestPriority,
  type FilterPlace,
  listFilters,
  listHookQdiscs,
  removeFilter,
  type TcFilter,
  type TcHook,
} from "./tc_filters.ts";

const EEXIST = 17, ECONNREFUSED = 111;
const AF_UNIX = 1, SOCK_DGRAM = 2;

const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** What filters of ebpfmon are called: `ebpfmon:` and the number of their owner. */
const TAG = /^ebpfmon:[0-9a-f]{16}$/;
/** Other filters may come and go between two looks at a hook. */
const ATTACH_TRIES_MAX = 20;

/** A struct sockaddr_un with a name that is in no file system; it is gone with its socket. */
function ownerAddress(tag: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(tag);
  const address = new Uint8Array(3 + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 3);
  return address;
}

function openOwnerSocket(): Socket {
  return new Socket({ family: AF_UNIX, type: SOCK_DGRAM, what: "a socket for the owner of filters" });
}

/** The sign of life of whoever attaches filters, as long as it is not disposed of and the process lives. */
export class FilterOwner implements Disposable {
  /** What its filters are called. */
  readonly tag: string;
  readonly #socket: Socket;

  /** @throws {SystemError} */
  constructor() {
    const number = crypto.getRandomValues(new Uint32Array(2));
    this.tag = `ebpfmon:${[...number].map((part) => part.toString(16).padStart(8, "0")).join("")}`;
    using stack = new DisposableStack();
    this.#socket = stack.use(openOwnerSocket());
    const errno = this.#socket.bind(ownerAddress(this.tag));
    if (errno !== 0) throw new SystemError(`name a socket ${this.tag}`, errno);
    stack.move();
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Whether the owner of filters with this tag may live. Where that cannot be told, it may. @throws {SystemError} */
export function ownerLives(tag: string): boolean {
  using socket = openOwnerSocket();
  return socket.connect(ownerAddress(tag)) !== ECONNREFUSED;
}

/** A filter that an instance of ebpfmon attached. */
export interface OwnFilter extends FilterPlace {
  /** The interface's name. */
  iface: string;
  ownerLives: boolean;
}

/** @param ifindexes empty for all interfaces of the network namespace @throws {SystemError} */
export function listOwnFilters(socket: RouteSocket, ifindexes: readonly number[] = []): OwnFilter[] {
  const found: OwnFilter[] = [];
  for (const [ifindex, kind] of listHookQdiscs(socket)) {
    if (ifindexes.length > 0 && !ifindexes.includes(ifindex)) continue;
    // The one hook of an ingress qdisc answers for both directions.
    for (const direction of DIRECTIONS.filter((it) => kind === "clsact" || it === "ingress")) {
      for (const { priority, handle, kind, name } of listFilters(socket, { ifindex, direction })) {
        if (kind !== "bpf" || !TAG.test(name)) continue;
        const iface = interfaceNameOf(ifindex) ?? `interface ${ifindex}`;
        found.push({ ifindex, iface, direction, priority, handle, ownerLives: ownerLives(name) });
      }
    }
  }
  return found;
}

/** What a sweep did, and what it left alone. */
export interface Sweep {
  removed: OwnFilter[];
  kept: OwnFilter[];
}

/**
 * Removes filters of instances that have ended.
 *
 * @param options.ifindexes absent or empty for all interfaces of the network namespace
 * @param options.force those of running instances too
 * @throws {PrivilegeError}
 * @throws {SystemError}
 */
export function sweepFilters(options: { ifindexes?: readonly number[]; force?: boolean } = {}): Sweep {
  const { ifindexes, force = false } = options;
  using socket = new RouteSocket();
  const sweep: Sweep = { removed: [], kept: [] };
  for (const filter of listOwnFilters(socket, ifindexes)) {
    if (filter.ownerLives && !force) {
      sweep.kept.push(filter);
      continue;
    }
    try {
      removeFilter(socket, filter);
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== EPERM) throw error;
      throw new PrivilegeError(
        `Cannot remove a filter from ${filter.iface}: CAP_NET_ADMIN missing; run it with sudo`,
        { cause: error },
      );
    }
    sweep.removed.push(filter);
  }
  return sweep;
}

/** A filter in words: `"name" (bpf, priority 1, program 7)`, or `one without a name (matchall, priority 1)`. */
export function describeFilter({ kind, name, priority, programId }: TcFilter): string {
  const program = programId === 0 ? "" : `, program ${programId}`;
  return `${name === "" ? "one without a name" : JSON.stringify(name)} (${kind}, priority ${priority}${program})`;
}

/** Filters of others that see a packet before the one of this tag does, and may end its way there. */
export function filtersInFront(filters: readonly TcFilter[], tag: string): TcFilter[] {
  const own = filters.findIndex((filter) => filter.name === tag);
  return filters.slice(0, Math.max(own, 0)).filter(({ chain, name }) => chain === 0 && !TAG.test(name));
}

/** A filter of our own on a hook, in front of all others where that can be. Nobody else's is replaced. */
export class ClsactFilter implements Disposable {
  readonly #socket: RouteSocket;
  readonly #place: FilterPlace;
  readonly #tag: string;
  readonly #programId: number;
  #attached = true;

  /** @param filter what the kernel says of it, once it is there */
  private constructor(socket: RouteSocket, { tag, filter }: { tag: string; filter: TcFilter }) {
    this.#socket = socket;
    this.#place = filter;
    this.#tag = tag;
    this.#programId = filter.programId;
  }

  /**
   * @param options.program one of those that call what counts
   * @throws {UnsupportedError} the kernel has no such filters, or an ingress qdisc holds the place
   * @throws {SystemError}
   */
  static attach(
    hook: TcHook,
    { owner, programFd, iface }: { owner: FilterOwner; programFd: number; iface: string },
  ): ClsactFilter {
    const attempt = `watch ${hook.direction} of ${iface}`;
    using stack = new DisposableStack();
    const socket = stack.use(new RouteSocket());
    const made = addClsact(socket, hook.ifindex);
    if (made === ENOENT) {
      throw new UnsupportedError(`Cannot ${attempt}: the kernel has neither TCX nor CONFIG_NET_SCH_INGRESS`);
    }
    if (made !== 0 && made !== EEXIST) throw new SystemError(`add a clsact qdisc to ${iface}`, made);
    // The kernel would put a filter for egress on the only hook that an ingress qdisc has.
    if (hook.direction === "egress" && listHookQdiscs(socket).get(hook.ifindex) !== "clsact") {
      throw new UnsupportedError(
        `Cannot ${attempt}: an ingress qdisc is in the place of clsact; tc qdisc del dev ${iface} ingress makes room`,
      );
    }
    let errno = 0;
    for (let tries = 0; tries < ATTACH_TRIES_MAX; tries++) {
      const priority = earliestPriority(listFilters(socket, hook));
      // Any number: the kernel refuses one that is taken.
      const handle = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1 | 0x0100_0000;
      errno = addFilter(socket, { ...hook, priority, handle }, { fd: programFd, name: owner.tag });
      if (errno === 0) {
        const filter = listFilters(socket, hook).find((it) => it.name === owner.tag && it.handle === handle);
        // Whoever removed it so soon does so again.
        if (filter === undefined) throw new SystemError(`find our filter on ${iface} again`, ENOENT);
        stack.move();
        return new ClsactFilter(socket, { tag: owner.tag, filter });
      }
      if (errno === ENOENT) {
        throw new UnsupportedError(`Cannot ${attempt}: the kernel has neither TCX nor CONFIG_NET_CLS_BPF`);
      }
      if (errno === EOPNOTSUPP) {
        throw new UnsupportedError(`Cannot ${attempt}: its filters are in a block that several interfaces share`);
      }
      // Taken, or of another kind or protocol by now.
      if (errno !== EEXIST && errno !== EINVAL) break;
    }
    throw new SystemError(`add a filter to ${iface}`, errno);
  }

  #filters(): TcFilter[] {
    return listFilters(this.#socket, this.#place);
  }

  #isOurs({ name, handle, programId }: TcFilter): boolean {
    return name === this.#tag && handle === this.#place.handle && programId === this.#programId;
  }

  /** False once somebody has removed or replaced it, with its qdisc or its interface or alone. */
  get attached(): boolean {
    return this.#filters().some((filter) => this.#isOurs(filter));
  }

  /** Filters of others that see a packet first, in words. What they let pass no further is not counted. */
  inFront(): string[] {
    return filtersInFront(this.#filters(), this.#tag).map(describeFilter);
  }

  [Symbol.dispose](): void {
    if (!this.#attached) return;
    this.#attached = false;
    try {
      if (this.attached) removeFilter(this.#socket, this.#place);
    } finally {
      this.#socket[Symbol.dispose]();
    }
  }
}
