/**
 * The socket owner programs in the kernel, and the table that they fill.
 */
import { PrivilegeError, SystemError, UnsupportedError } from "../../runtime/errors.ts";
import { BpfLink, LibbpfLinks } from "../../ffi/bpf_link.ts";
import { BpfObject } from "../../ffi/bpf_object.ts";
import { BpfMap, type MapSpec, MapType } from "../../ffi/bpf_map.ts";
import { writeField } from "../../wire/layout.ts";
import { SOCKET_KEY, SOCKET_OWNER, SOCKET_OWNER_RODATA } from "../../wire/layouts.gen.ts";
import { hasKernelBtf, KERNEL_BTF } from "../../ffi/kernel_btf.ts";
import { closeFd, readOnThread } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { ownNetns } from "../../ffi/netdev.ts";
import { loadVariants, type ProgramJob } from "../../ffi/program_variants.ts";

/**
 * Where programs can see who sends and receives, the cheapest first:
 * - `tracepoints`: BTF tracepoints in the calls (Linux 6.3)
 * - `returns`: when the functions that these calls lead to return (fexit)
 * - `calls`: when the same functions are called (kprobes)
 * - `states`: not at all; who connects, who listens and who receives TCP is seen, and scans find who holds the others
 */
export type OwnerWay = "tracepoints" | "returns" | "calls" | "states";

/** Functions of internet sockets. Some kernels lack those that a list of `FUNCTION_SETS` leaves out. */
const FUNCTION_SETS = [
  ["inet_sendmsg", "inet_recvmsg", "tcp_splice_read", "inet6_sendmsg", "inet6_recvmsg", "inet_sendpage"],
  ["inet_sendmsg", "inet_recvmsg", "tcp_splice_read", "inet6_sendmsg", "inet6_recvmsg"],
  ["inet_sendmsg", "inet_recvmsg", "tcp_splice_read", "inet_sendpage"],
  ["inet_sendmsg", "inet_recvmsg", "tcp_splice_read"],
] as const;

/**
 * No program: in a variant, what programs know of a socket is kept by its address, since they cannot use its own storage
 * (Linux 5.11, and kprobes never). A program that loads with the storage loads without it, so that one such variant
 * makes all of them do so.
 */
const BY_ADDRESS = "by address";

const SCAN = "scan_sockets";

type InetFunction = typeof FUNCTION_SETS[0][number];
type Hook = `return_${InetFunction}` | `call_${InetFunction}`;
type Part =
  | "socket_send"
  | "socket_receive"
  | "socket_receive_tcp"
  | "socket_state"
  | typeof SCAN
  | typeof BY_ADDRESS
  | Hook;
type Variant = readonly Part[];

const VARIANTS: Record<OwnerWay, readonly Variant[]> = {
  tracepoints: [["socket_send", "socket_receive"]],
  returns: FUNCTION_SETS.flatMap((names) => eitherNotes(names.map((name): Part => `return_${name}`))),
  calls: FUNCTION_SETS.map((names) => [...names.map((name): Part => `call_${name}`), BY_ADDRESS]),
  states: eitherNotes(["socket_receive_tcp"]),
};
const WAYS = Object.keys(VARIANTS) as OwnerWay[];

const WAY_TEXTS: Record<OwnerWay, string> = {
  tracepoints: "BTF tracepoints sock_send_length and sock_recv_length",
  returns: "fexit on inet_sendmsg, inet_recvmsg and their kin",
  calls: "kprobes on inet_sendmsg, inet_recvmsg and their kin",
  states: "socket states, BTF tracepoint tcp_rcv_space_adjust and scans",
};

/** What is seen less of, that way. */
const WAY_NOTICES: Partial<Record<OwnerWay, string>> = {
  states:
    "who sends, and who receives UDP, is named when a scan finds the socket: this kernel takes no program that sees " +
    "the calls",
};

/** What is missing where a job cannot be done. */
const UNDONE_TEXTS = {
  use: "neither sender nor receiver is named: this kernel takes no program that sees them",
  state: "nobody is named who connects or listens: this kernel lacks BTF tracepoint inet_sock_set_state",
  scan: "sockets from before the start are named when they are used: this kernel lacks the iterator task_file",
} as const;

const PROGRAMS = new Set([...Object.values(VARIANTS).flat(2), "socket_state", SCAN]);
PROGRAMS.delete(BY_ADDRESS);

/** With notes in the sockets' own storage, else by address. */
function eitherNotes(programs: Variant): Variant[] {
  return [programs, [...programs, BY_ADDRESS]];
}

function isHook(part: Part): part is Hook {
  return part.startsWith("return_") || part.startsWith("call_");
}

const ATTACH_TRACE_ITER = 28;

export interface SocketOwnerProbeOptions {
  /** Sockets remembered; of more, the least recently used are forgotten. */
  ownersMax: number;
  /** The only ways that are tried; all by default. */
  ways?: readonly OwnerWay[];
  /** Keeps what is known of a socket by its address in any case. */
  byAddress?: boolean;
}

function jobsFor({ ways = WAYS, byAddress = false }: SocketOwnerProbeOptions): ProgramJob<Part>[] {
  const jobs: ProgramJob<Part>[] = [
    { job: "use", variants: WAYS.filter((way) => ways.includes(way)).flatMap((way) => VARIANTS[way]) },
    { job: "state", variants: eitherNotes(["socket_state"]) },
    { job: "scan", variants: eitherNotes([SCAN]) },
  ];
  if (!byAddress) return jobs;
  return jobs.map(({ job, variants }) => ({
    job,
    variants: variants.filter((variant) => variant.includes(BY_ADDRESS)),
  }));
}

function ownersSpec(entriesMax: number): MapSpec {
  return {
    name: "socket_owners",
    type: MapType.lruHash,
    keyBytes: SOCKET_KEY.size,
    valueBytes: SOCKET_OWNER.size,
    entriesMax,
  };
}

function load(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  { parts, owners }: { parts: Variant; owners: BpfMap },
): BpfObject {
  using stack = new DisposableStack();
  const object = stack.use(BpfObject.open(libbpf, "socket_owner", elf));
  const byAddress = parts.includes(BY_ADDRESS);
  writeField(object.initialValue(".rodata"), SOCKET_OWNER_RODATA, "by_address", byAddress);
  for (const name of PROGRAMS) object.setAutoload(name, parts.some((part) => part === name));
  object.reuseMap("socket_owners", owners);
  if (byAddress) object.setMaxEntries("addressed_sockets", owners.spec.entriesMax);
  object.load();
  stack.move();
  return object;
}

/**
 * Loads after it has tried to attach: some kernels take programs for functions, and only then refuse to call them there.
 * What was attached for the try is loaded anew, since kernels before Linux 5.13 attach such a program only once.
 */
class HookLoader {
  readonly #load: (parts: Variant) => BpfObject;
  readonly #libbpf: Libbpf;
  readonly #attached = new Set<string>();

  constructor(libbpf: Libbpf, load: (parts: Variant) => BpfObject) {
    this.#libbpf = libbpf;
    this.#load = load;
  }

  load(parts: Variant): BpfObject {
    const hooks = parts.filter(isHook);
    if (hooks.length > 0 && !this.#attached.has(hooks.join())) {
      using object = this.#load(parts);
      const links = new LibbpfLinks(this.#libbpf, object);
      try {
        links.attach(hooks);
      } finally {
        links.detach();
      }
      this.#attached.add(hooks.join());
    }
    return this.#load(parts);
  }
}

/** Names the one reason for all refusals where the kernel does not describe its own types. */
function loadWithBtf<Loaded>(load: () => Loaded): Loaded {
  try {
    return load();
  } catch (error) {
    if (error instanceof PrivilegeError || hasKernelBtf()) throw error;
    const message =
      `Cannot see who uses sockets: there is no ${KERNEL_BTF}; it takes a kernel with CONFIG_DEBUG_INFO_BTF`;
    throw new UnsupportedError(message, { cause: error });
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
  /** How it is seen who sends and receives, in words. */
  readonly way: string;
  /** What is not seen, since the kernel refuses a program for it. */
  readonly notices: readonly string[];
  /** Whether most sockets are only found by `scan`, which then has to be called from time to time. */
  readonly needsScans: boolean;
  /** Inode of the network namespace that we are in. */
  readonly netns: number;
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly string[];
  readonly #owners: BpfMap;
  readonly #addresses: BpfMap;
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
    // One for all tries: it takes longer to make than the rest.
    const owners = stack.use(BpfMap.create(libbpf, ownersSpec(options.ownersMax)));
    this.#owners = owners;
    const loader = new HookLoader(libbpf, (parts) => load(libbpf, elf, { parts, owners }));
    const { loaded: object, programs, variantOf, undone } = loadWithBtf(
      () => loadVariants(jobsFor(options), (parts) => loader.load(parts)),
    );
    this.#object = stack.use(object);
    this.#links = new LibbpfLinks(libbpf, this.#object);
    this.#programs = programs.filter((part) => part !== BY_ADDRESS);
    const use = variantOf.get("use");
    const way = WAYS.find((way) => use !== undefined && VARIANTS[way].includes(use));
    this.way = way === undefined ? "socket states and scans" : WAY_TEXTS[way];
    this.needsScans = way === undefined || way === "states";
    const missing = undone.map(({ job }) => UNDONE_TEXTS[job as keyof typeof UNDONE_TEXTS]);
    const lessSeen = way && WAY_NOTICES[way];
    this.notices = lessSeen === undefined ? missing : [lessSeen, ...missing];
    this.#addresses = object.map("address_netns");
    this.netns = ownNetns();
    this.#owned = stack.move();
  }

  /** Starts noting; once only, since some kernels attach a program only once. @throws {SystemError} */
  attach(): void {
    this.#links.attach(this.#programs.filter((name) => name !== SCAN));
  }

  /** Stops noting; what is known stays. */
  detach(): void {
    this.#links.detach();
  }

  /**
   * Notes the sockets that processes hold now, where nobody was seen to use them. Call it once, after `attach`: what
   * comes between the two is then noted by one or the other. Where `needsScans`, call it again from time to time; it
   * may go on when the probe is disposed of.
   *
   * @throws {SystemError}
   */
  async scan(): Promise<void> {
    if (!this.#programs.includes(SCAN)) return;
    const fd = this.#openScan();
    try {
      await this.#readToEnd(fd);
    } finally {
      closeFd(fd);
    }
  }

  #openScan(): number {
    const opts = new DataView(new ArrayBuffer(16)); // struct bpf_link_create_opts: size_t sz; __u32 flags
    opts.setBigUint64(0, 16n, true);
    const programFd = this.#object.programFd(SCAN);
    const linkFd = this.#libbpf.symbols.bpf_link_create(programFd, 0, ATTACH_TRACE_ITER, new Uint8Array(opts.buffer));
    if (linkFd < 0) throw new SystemError(`attach program "${SCAN}"`, -linkFd);
    using _link = new BpfLink(this.#libbpf, linkFd);
    const fd = this.#libbpf.symbols.bpf_iter_create(linkFd);
    if (fd < 0) throw new SystemError(`start program "${SCAN}"`, -fd);
    return fd;
  }

  /** The program prints nothing: it is run by reading. */
  async #readToEnd(fd: number): Promise<void> {
    const chunk = new Uint8Array(64);
    // A read walks a million objects, then says EAGAIN; another thread's errno cannot be asked for, so that any
    // failure is tried again as often as it takes for the largest hosts.
    for (let tries = 0; tries < 1_000; tries++) {
      // The kernel looks at every descriptor of every process meanwhile.
      const length = await readOnThread(fd, chunk);
      if (length === 0 || this.#owned.disposed) return;
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
