/**
 * Attaches programs to tc hooks without TCX, that is before Linux 6.6, as filters of the clsact qdisc. Such a filter
 * outlives the process that added it, so three things replace what a link does by itself:
 *
 * - The filter's program only calls another program, through a map of programs. When the owner has ended, however it
 *   ended, the kernel empties that map and frees the other program with all its maps. The filter then does nothing.
 * - The filter's name is that of a socket that the owner keeps bound in the network namespace of the interface.
 *   Everybody in that namespace can find out by it whether the owner lives, whatever pid namespace or user the owner
 *   has.
 * - Each start of ebpfmon, and `ebpfmon detach`, removes the filters whose owner has ended.
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

/** The name of a filter of ebpfmon: `ebpfmon:` and a random number that its owner chose. */
const TAG = /^ebpfmon:[0-9a-f]{16}$/;
/** Attempts to add a filter, as other filters may come and go between the look at a hook and the addition. */
const ATTACH_TRIES_MAX = 20;

/** A struct sockaddr_un with an abstract name: it is in no file system, and is gone with its socket. */
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

/** The owner of filters. Until it is disposed of, or the process ends, its bound socket shows that the owner lives. */
export class FilterOwner implements Disposable {
  /** The name of the owner's filters. */
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

/** False when the owner of the filters with this tag has certainly ended. @throws {SystemError} */
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

/**
 * Lists the filters of all instances of ebpfmon.
 *
 * @param ifindexes empty for all interfaces of the network namespace
 * @throws {SystemError}
 */
function listOwnFilters(socket: RouteSocket, ifindexes: readonly number[] = []): OwnFilter[] {
  const found: OwnFilter[] = [];
  for (const [ifindex, kind] of listHookQdiscs(socket)) {
    if (ifindexes.length > 0 && !ifindexes.includes(ifindex)) continue;
    // An ingress qdisc has one hook only, whose filters the kernel lists for both directions.
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

/** The filters that a sweep removed, and those that it kept. */
export interface Sweep {
  removed: OwnFilter[];
  kept: OwnFilter[];
}

/**
 * Removes filters of instances that have ended.
 *
 * @param options.ifindexes absent or empty for all interfaces of the network namespace
 * @param options.force true removes the filters of running instances, too
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

/** Filters of other programs that see a packet before the filter of this tag does, and may keep it from that filter. */
export function filtersInFront(filters: readonly TcFilter[], tag: string): TcFilter[] {
  const own = filters.findIndex((filter) => filter.name === tag);
  return filters.slice(0, Math.max(own, 0)).filter(({ chain, name }) => chain === 0 && !TAG.test(name));
}

/** A filter of this instance on a hook, in front of all others where possible. No other filter is replaced. */
export class ClsactFilter implements Disposable {
  readonly #socket: RouteSocket;
  readonly #place: FilterPlace;
  readonly #tag: string;
  readonly #programId: number;
  #attached = true;

  /** @param filter the filter as the kernel lists it */
  private constructor(socket: RouteSocket, { tag, filter }: { tag: string; filter: TcFilter }) {
    this.#socket = socket;
    this.#place = filter;
    this.#tag = tag;
    this.#programId = filter.programId;
  }

  /**
   * Adds a filter.
   *
   * @param options.programFd a program that only calls the one that counts
   * @param options.iface the interface's name, for error messages
   * @throws {UnsupportedError} when the kernel has no such filters, or an ingress qdisc takes the place of clsact
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
        // Another program removes filters at once; a further attempt would not help.
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
      // The priority or handle is taken by now, or the priority belongs to another kind or protocol.
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

  /** False once the filter was removed or replaced, alone or with its qdisc or interface. */
  get attached(): boolean {
    return this.#filters().some((filter) => this.#isOurs(filter));
  }

  /** Filters of other programs that see a packet first, as text. Packets that they keep back are not counted. */
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
