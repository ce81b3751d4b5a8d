/**
 * The socket owner programs in the kernel, and the table that they fill.
 */
import { PrivilegeError, SystemError } from "../errors.ts";
import { BpfLink, LibbpfLinks } from "./bpf_link.ts";
import { BpfObject } from "./bpf_object.ts";
import type { BpfMap } from "./bpf_map.ts";
import { SOCKET_OWNER } from "./layouts.gen.ts";
import { closeFd, keepAlive } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import { ownNetns } from "./netdev.ts";

/** Programs of bpf/socket_owner.bpf.c, and what a kernel that refuses one lacks. */
const PROGRAMS = {
  socket_send: "no sender is named: this kernel lacks BTF tracepoint sock_send_length (Linux 6.3)",
  socket_receive: "no receiver is named: this kernel lacks BTF tracepoint sock_recv_length (Linux 6.3)",
  socket_state: "nobody is named who connects or listens: this kernel lacks BTF tracepoint inet_sock_set_state",
  scan_sockets: "sockets from before the start are named when they are used: this kernel lacks the iterator task_file",
} as const;

type Program = keyof typeof PROGRAMS;
const PROGRAM_NAMES = Object.keys(PROGRAMS) as Program[];
const SCAN: Program = "scan_sockets";

const ATTACH_TRACE_ITER = 28;

const SYMBOLS = {
  // On another thread: the kernel looks at every descriptor of every process meanwhile.
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

export interface SocketOwnerProbeOptions {
  /** Sockets remembered; of more, the least recently used are forgotten. */
  ownersMax: number;
}

/** What the kernel takes of the programs; the others are left out and named. */
function loadWhatLoads(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  options: SocketOwnerProbeOptions,
): { object: BpfObject; programs: Program[] } {
  const load = (programs: Program[]): BpfObject => {
    using stack = new DisposableStack();
    const object = stack.use(BpfObject.open(libbpf, "socket_owner", elf));
    for (const name of PROGRAM_NAMES) object.setAutoload(name, programs.includes(name));
    object.setMaxEntries("socket_owners", options.ownersMax);
    object.load();
    stack.move();
    return object;
  };
  try {
    return { object: load(PROGRAM_NAMES), programs: PROGRAM_NAMES };
  } catch (error) {
    if (error instanceof PrivilegeError) throw error;
    // One that the kernel refuses takes all others with it: each is tried alone.
    const programs = PROGRAM_NAMES.filter((name) => {
      try {
        load([name])[Symbol.dispose]();
        return true;
      } catch {
        return false;
      }
    });
    if (programs.length === 0 || programs.length === PROGRAM_NAMES.length) throw error;
    return { object: load(programs), programs };
  }
}

/**
 * Notes who uses which socket, in all network namespaces. Attached by links: nothing outlives the process.
 *
 * @example
 * ```ts
 * using probe = new SocketOwnerProbe(libbpf, elf, { ownersMax: 65_536 });
 * probe.attach();
 * await probe.scan();
 * const owners = new SocketOwners(probe, probe.netns);
 * const owner = owners.ownerOf(row);
 * ```
 */
export class SocketOwnerProbe implements Disposable {
  /** What is not seen, since the kernel refuses a program for it. */
  readonly notices: readonly string[];
  /** Inode of the network namespace that we are in. */
  readonly netns: number;
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly Program[];
  readonly #owners: BpfMap;
  readonly #addresses: BpfMap;
  readonly #libc: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #value = new Uint8Array(SOCKET_OWNER.size);
  readonly #links: LibbpfLinks;

  /**
   * Loads the programs; attaches to nothing yet.
   *
   * @param elf the compiled bpf/socket_owner.bpf.c
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} when the kernel takes none of the programs
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, options: SocketOwnerProbeOptions) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    const { object, programs } = loadWhatLoads(libbpf, elf, options);
    this.#object = stack.use(object);
    this.#links = new LibbpfLinks(libbpf, this.#object);
    this.#programs = programs;
    this.notices = PROGRAM_NAMES.filter((name) => !programs.includes(name)).map((name) => PROGRAMS[name]);
    this.#owners = object.map("socket_owners");
    this.#addresses = object.map("address_netns");
    const libc = Deno.dlopen("libc.so.6", SYMBOLS);
    this.#libc = libc;
    stack.defer(() => libc.close());
    this.netns = ownNetns();
    this.#owned = stack.move();
  }

  /** Starts noting. @throws {SystemError} */
  attach(): void {
    this.#links.attach(this.#programs.filter((name) => name !== SCAN));
  }

  /** Stops noting; what is known stays. */
  detach(): void {
    this.#links.detach();
  }

  /**
   * Notes the sockets that processes hold now, where nobody was seen to use them. Once, after `attach`: what comes
   * between the two is then noted by one or the other.
   *
   * @throws {SystemError}
   */
  async scan(): Promise<void> {
    if (!this.#programs.includes(SCAN)) return;
    const opts = new DataView(new ArrayBuffer(16)); // struct bpf_link_create_opts: size_t sz; __u32 flags
    opts.setBigUint64(0, 16n, true);
    const programFd = this.#object.programFd(SCAN);
    const linkFd = this.#libbpf.symbols.bpf_link_create(programFd, 0, ATTACH_TRACE_ITER, new Uint8Array(opts.buffer));
    if (linkFd < 0) throw new SystemError(`attach program "${SCAN}"`, -linkFd);
    using _link = new BpfLink(this.#libbpf, linkFd);
    const fd = this.#libbpf.symbols.bpf_iter_create(linkFd);
    if (fd < 0) throw new SystemError(`start program "${SCAN}"`, -fd);
    try {
      await this.#readToEnd(fd);
    } finally {
      closeFd(fd);
    }
  }

  /** The program prints nothing: it is run by reading. */
  async #readToEnd(fd: number): Promise<void> {
    const chunk = new Uint8Array(64);
    // A read walks a million objects, then says EAGAIN; another thread's errno cannot be asked for, so that any
    // failure is tried again as often as it takes for the largest hosts.
    for (let tries = 0; tries < 1_000; tries++) {
      const length = Number(await this.#libc.symbols.read(fd, chunk, BigInt(chunk.length)));
      keepAlive(chunk);
      if (length === 0) return;
    }
    throw new Error(`Cannot look at all sockets: program "${SCAN}" does not come to an end`);
  }

  /** `struct socket_owner` under a `struct socket_key`, lent until the next call; null where there is none. */
  lookup(key: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> | null {
    return this.#owners.lookup(key, this.#value) ? new DataView(this.#value.buffer) : null;
  }

  /** Inode of the namespace with this address, of 16 bytes as in keys; null where no socket has shown it. */
  netnsOf(address: Uint8Array<ArrayBuffer>): number | null {
    const netns = new Uint32Array(1);
    return this.#addresses.lookup(address, new Uint8Array(netns.buffer)) ? netns[0] : null;
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
