/**
 * Attaches programs through BPF links. A link lives as long as its file descriptor, so the kernel detaches the program
 * however the process ends.
 */
import { EINVAL, ENODEV, SystemError } from "../runtime/errors.ts";
import { objectInfo } from "./bpf_map.ts";
import { closeFd, lastErrno } from "./libc.ts";
import type { BpfObject } from "./bpf_object.ts";
import type { Libbpf } from "./libbpf.ts";

/** enum bpf_attach_type, Linux 6.6. */
const ATTACH_XDP = 37;
const ATTACH_TCX_INGRESS = 46;
const ATTACH_TCX_EGRESS = 47;

const XDP_FLAGS = { generic: 1 << 1, native: 1 << 2 } as const;

/** struct bpf_link_info: enough for every kind of link that is read here. */
const LINK_INFO_BYTES = 64;

/** A link to an attached program. It owns the file descriptor. */
export class BpfLink implements Disposable {
  readonly fd: number;
  readonly #libbpf: Libbpf;
  #closed = false;

  constructor(libbpf: Libbpf, fd: number) {
    this.#libbpf = libbpf;
    this.fd = fd;
  }

  /**
   * False once the interface is gone or somebody detached the link: the kernel then clears its ifindex. Only for links
   * to an interface.
   */
  get attached(): boolean {
    return objectInfo(this.#libbpf, this.fd, LINK_INFO_BYTES, "a link").getUint32(16, true) !== 0;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.fd);
  }
}

function createLink(
  libbpf: Libbpf,
  target: { programFd: number; ifindex: number; attachType: number; flags: number },
): BpfLink | number {
  // struct bpf_link_create_opts: size_t sz; __u32 flags
  const opts = new DataView(new ArrayBuffer(16));
  opts.setBigUint64(0, 16n, true);
  opts.setUint32(8, target.flags, true);
  const { programFd, ifindex, attachType } = target;
  const fd = libbpf.symbols.bpf_link_create(programFd, ifindex, attachType, new Uint8Array(opts.buffer));
  return fd < 0 ? -fd : new BpfLink(libbpf, fd);
}

/**
 * Attaches an XDP program.
 *
 * @returns the link, or the positive errno when the interface is taken or its driver lacks XDP
 */
export function attachXdp(
  libbpf: Libbpf,
  programFd: number,
  ifindex: number,
  mode: "native" | "generic",
): BpfLink | number {
  return createLink(libbpf, { programFd, ifindex, attachType: ATTACH_XDP, flags: XDP_FLAGS[mode] });
}

/** Attaches a tc program through TCX. @returns the link, or the positive errno; EINVAL on kernels before 6.6 */
export function attachTcx(
  libbpf: Libbpf,
  programFd: number,
  ifindex: number,
  direction: "ingress" | "egress",
): BpfLink | number {
  const attachType = direction === "ingress" ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
  return createLink(libbpf, { programFd, ifindex, attachType, flags: 0 });
}

/** An index that no interface has: the kernel looks for the interface only after it knows the attach type. */
const NO_IFINDEX = 0x7fff_fffe;

/** Whether the kernel has TCX (Linux 6.6). Attaches to nothing. @param programFd any loaded tc program */
export function probeTcx(libbpf: Libbpf, programFd: number): boolean {
  const link = attachTcx(libbpf, programFd, NO_IFINDEX, "egress");
  if (typeof link === "number") return link === ENODEV;
  link[Symbol.dispose]();
  return true;
}

/** The XDP program that is attached to an interface. */
export interface AttachedProgram {
  id: number;
  name: string;
}

/** struct bpf_prog_info up to `verified_insns`. */
const PROGRAM_INFO_BYTES = 224;

export interface ProgramInfo {
  id: number;
  name: string;
  /** Time of all runs. Both numbers are 0 unless the kernel's BPF statistics (kernel.bpf_stats_enabled) are on. */
  runNs: bigint;
  runs: bigint;
  /** Runs that the kernel skipped, because the program was already running on that CPU. Always counted. */
  missedRuns: bigint;
}

/** Asks the kernel about a loaded program. @throws {SystemError} */
export function programInfo(libbpf: Libbpf, fd: number): ProgramInfo {
  const info = objectInfo(libbpf, fd, PROGRAM_INFO_BYTES, "a program");
  const name = new Uint8Array(info.buffer, 64, 16);
  const end = name.indexOf(0);
  return {
    id: info.getUint32(4, true),
    name: new TextDecoder().decode(name.subarray(0, end < 0 ? 16 : end)),
    runNs: info.getBigUint64(192, true),
    runs: info.getBigUint64(200, true),
    missedRuns: info.getBigUint64(208, true),
  };
}

/** The XDP program on an interface, in whichever mode; null when there is none. */
export function attachedXdp(libbpf: Libbpf, ifindex: number): AttachedProgram | null {
  const id = new Uint32Array(1);
  const result = libbpf.symbols.bpf_xdp_query_id(ifindex, 0, new Uint8Array(id.buffer));
  if (result < 0) throw new SystemError(`ask for the XDP program of interface ${ifindex}`, -result);
  if (id[0] === 0) return null;
  const fd = libbpf.symbols.bpf_prog_get_fd_by_id(id[0]);
  if (fd < 0) return { id: id[0], name: "" };
  try {
    return { id: id[0], name: programInfo(libbpf, fd).name };
  } finally {
    closeFd(fd);
  }
}

/**
 * Removes whatever XDP program is on the interface: through its link where it has one, else through netlink.
 *
 * @throws {SystemError}
 */
export function detachXdp(libbpf: Libbpf, ifindex: number, programId: number): void {
  const { symbols } = libbpf;
  const id = new Uint32Array(1);
  for (let previous = 0; symbols.bpf_link_get_next_id(previous, new Uint8Array(id.buffer)) === 0; previous = id[0]) {
    const fd = symbols.bpf_link_get_fd_by_id(id[0]);
    if (fd < 0) continue;
    try {
      const info = objectInfo(libbpf, fd, LINK_INFO_BYTES, "a link");
      if (info.getUint32(8, true) !== programId || info.getUint32(16, true) !== ifindex) continue;
      const errno = -symbols.bpf_link_detach(fd);
      if (errno !== 0) throw new SystemError(`detach the link of XDP program ${programId}`, errno);
      return;
    } finally {
      closeFd(fd);
    }
  }
  const errno = -symbols.bpf_xdp_detach(ifindex, 0, null);
  if (errno !== 0) throw new SystemError(`detach XDP program ${programId}`, errno);
}

/** A link that libbpf made from a program's section name: tracepoints and their kin. */
export class LibbpfLink implements Disposable {
  readonly #libbpf: Libbpf;
  #link: Deno.PointerObject | null;

  /** @throws {SystemError} */
  constructor(libbpf: Libbpf, program: Deno.PointerObject, name: string) {
    this.#libbpf = libbpf;
    const { result: { link, errno }, messages: log } = libbpf.captured(() => {
      const link = libbpf.symbols.bpf_program__attach(program);
      return { link, errno: link === null ? lastErrno() || EINVAL : 0 };
    });
    this.#link = link;
    if (link === null) throw new SystemError(`attach program "${name}"`, errno, { log });
  }

  [Symbol.dispose](): void {
    if (this.#link === null) return;
    this.#libbpf.symbols.bpf_link__destroy(this.#link);
    this.#link = null;
  }
}

/** Links of programs of one object, attached and detached together. */
export class LibbpfLinks {
  readonly #libbpf: Libbpf;
  readonly #object: Pick<BpfObject, "programPointer">;
  #links: LibbpfLink[] = [];

  constructor(libbpf: Libbpf, object: Pick<BpfObject, "programPointer">) {
    this.#libbpf = libbpf;
    this.#object = object;
  }

  /**
   * Attaches programs by name.
   *
   * @throws {SystemError} the programs before the failing one stay attached until `detach`
   */
  attach(programs: readonly string[]): void {
    for (const name of programs) {
      this.#links.push(new LibbpfLink(this.#libbpf, this.#object.programPointer(name), name));
    }
  }

  /** Detaches every program. `attach` may be called again. */
  detach(): void {
    for (const link of this.#links) link[Symbol.dispose]();
    this.#links = [];
  }
}
