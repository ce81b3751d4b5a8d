/** Where the flow programs are attached: the hooks of each interface, and what happens to them. */
import { SystemError, UnsupportedError } from "../../runtime/errors.ts";
import type { AttachedInterface, FlowOptions, IngressMode } from "./flow_options.ts";
import { type Direction, DIRECTIONS } from "../../wire/traffic.ts";
import { attachedXdp, attachTcx, attachXdp, type BpfLink, detachXdp, probeTcx } from "../../ffi/bpf_link.ts";
import type { BpfObject } from "../../ffi/bpf_object.ts";
import { ClsactFilter, FilterOwner, type OwnFilter, sweepFilters } from "../../ffi/clsact.ts";
import { ifindexOf, interfaceNameOf } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { interfaceNames, mtuBytes } from "../../ffi/netdev.ts";
import { CLSACT_PROGRAMS, type FlowProgram, type LoadedFlow, TCX_PROGRAMS } from "./flow_programs.ts";

/** Above this a driver may want a program that can handle frames in several buffers: a page less its headroom. */
const SINGLE_BUFFER_MTU = 3_000;

export type AttachOptions = Pick<FlowOptions, "direction" | "ingressMode" | "egressHook" | "force">;

interface Hook {
  direction: Direction;
  link: BpfLink | ClsactFilter;
  /** It was found detached, which was told. */
  lost: boolean;
  /** Filters of others that were in front when it was last looked at. */
  inFront: string;
}

interface Attachment {
  iface: AttachedInterface;
  hooks: Hook[];
  gone: boolean;
}

/** An interface that is not watched any more. */
export interface GoneInterface {
  name: string;
  /** The interface is still there: somebody detached what watched it. */
  exists: boolean;
}

/** What happened to what is attached. */
export interface AttachmentChanges {
  gone: GoneInterface[];
  /** Interfaces that are watched in one direction only from here on, and filters of others that came in front. */
  notices: { alert: string; message: string }[];
}

function describeOwn({ iface, direction }: OwnFilter): string {
  return `${iface} ${direction}`;
}

/** An interface that is to be watched. */
export interface NamedInterface {
  name: string;
  ifindex: number;
}

/** The interfaces by name, each once and with its index. @throws {Error} for one that does not exist */
export function resolveInterfaces(names: string[]): NamedInterface[] {
  return [...new Set(names)].map((name) => {
    const ifindex = name.includes("\0") ? 0 : ifindexOf(name);
    if (ifindex === 0) {
      throw new Error(
        `Cannot find interface ${JSON.stringify(name)}: there are ${interfaceNames().join(", ")}`,
      );
    }
    return { name, ifindex };
  });
}

/**
 * The programs of one loaded object on the hooks of its interfaces. Nothing stays attached after `detach`, nor after the
 * end of the process.
 */
export class FlowAttachments implements Disposable {
  readonly interfaces: readonly NamedInterface[];
  readonly #libbpf: Libbpf;
  readonly #object: BpfObject;
  readonly #loaded: readonly FlowProgram[];
  #attachments: Attachment[] = [];
  /** Where there are clsact filters. */
  #filterOwner: FilterOwner | null = null;

  /** @param loaded the object, which has to outlive this */
  constructor(libbpf: Libbpf, { object, programs }: LoadedFlow, interfaces: readonly NamedInterface[]) {
    this.#libbpf = libbpf;
    this.#object = object;
    this.#loaded = programs;
    this.interfaces = interfaces;
  }

  /**
   * Attaches to every interface, or to none when one of them fails.
   *
   * @returns what was attached where, and what had to be done without
   * @throws {UnsupportedError} when somebody else's program holds the place
   */
  attach(options: AttachOptions): { interfaces: AttachedInterface[]; notices: string[] } {
    const notices: string[] = [];
    this.#sweep(notices);
    for (const { name, ifindex } of this.interfaces) {
      const attachment: Attachment = { iface: { name, ifindex, mode: null, egress: null }, hooks: [], gone: false };
      this.#attachments.push(attachment);
      if (options.direction !== "egress") this.#attachIngress(attachment, options);
      if (options.direction !== "ingress") this.#attachEgress(attachment, options, notices);
    }
    notices.push(...this.#newInFront().map(({ message }) => message));
    return { interfaces: this.#attachments.map((attachment) => attachment.iface), notices };
  }

  /** Removes what instances that were killed have left, on whichever interface. */
  #sweep(notices: string[]): void {
    try {
      const { removed } = sweepFilters();
      if (removed.length === 0) return;
      notices.push(`removed filters that an instance which has ended had left: ${removed.map(describeOwn).join(", ")}`);
    } catch (error) {
      // Counting does not depend on it.
      notices.push(`filters of instances that have ended may be left: ${(error as Error).message}`);
    }
  }

  /** The tc hook that this kernel has. */
  get #tcHook(): "tcx" | "clsact" {
    return probeTcx(this.#libbpf, this.#object.programFd("egress_tcx")) ? "tcx" : "clsact";
  }

  #attachClsact(direction: Direction, { name, ifindex }: AttachedInterface): ClsactFilter {
    const key = new Uint8Array(Uint32Array.of(DIRECTIONS.indexOf(direction)).buffer);
    const target = new Uint8Array(Int32Array.of(this.#object.programFd(TCX_PROGRAMS[direction])).buffer);
    this.#object.map("clsact_targets").update(key, target);
    const owner = this.#filterOwner ??= new FilterOwner();
    const programFd = this.#object.programFd(CLSACT_PROGRAMS[direction]);
    return ClsactFilter.attach({ ifindex, direction }, { owner, programFd, iface: name });
  }

  #attachIngress(attachment: Attachment, options: AttachOptions): void {
    const { name, ifindex } = attachment.iface;
    const asked: IngressMode[] = options.ingressMode === "auto" ? ["native", "generic", "tcx"] : [options.ingressMode];
    const modes = asked.map((mode) => mode === "tcx" ? this.#tcHook : mode);
    if (modes[0] === "native" || modes[0] === "generic") this.#clearXdp(name, ifindex, options.force);
    let errno = 0;
    for (const mode of modes) {
      for (const program of this.#ingressPrograms(mode, name)) {
        const link = this.#ingressLink(mode, program, attachment.iface);
        if (typeof link !== "number") {
          attachment.hooks.push({ direction: "ingress", link, lost: false, inFront: "" });
          attachment.iface.mode = mode;
          return;
        }
        errno = link;
      }
    }
    throw new SystemError(`attach to ${name} for ingress (${modes.join(", ")})`, errno, {
      hint: "try another --mode",
    });
  }

  /** @returns the link, or the positive errno @throws {UnsupportedError} @throws {SystemError} */
  #ingressLink(mode: IngressMode, program: FlowProgram, iface: AttachedInterface): BpfLink | ClsactFilter | number {
    switch (mode) {
      case "clsact":
        return this.#attachClsact("ingress", iface);
      case "tcx":
        return attachTcx(this.#libbpf, this.#object.programFd(program), iface.ifindex, "ingress");
      case "native":
      case "generic":
        return attachXdp(this.#libbpf, this.#object.programFd(program), iface.ifindex, mode);
      default:
        return mode satisfies never;
    }
  }

  #ingressPrograms(mode: IngressMode, iface: string): FlowProgram[] {
    if (mode === "tcx" || mode === "clsact") return ["ingress_tcx"];
    if (mode === "generic" || mtuBytes(iface) <= SINGLE_BUFFER_MTU) return ["ingress_xdp"];
    return this.#loaded.includes("ingress_xdp_frags") ? ["ingress_xdp", "ingress_xdp_frags"] : ["ingress_xdp"];
  }

  #clearXdp(name: string, ifindex: number, force: boolean): void {
    const other = attachedXdp(this.#libbpf, ifindex);
    if (other === null) return;
    if (force) {
      detachXdp(this.#libbpf, ifindex, other.id);
      return;
    }
    const remedy = "--mode tcx watches beside it, --force replaces it";
    throw new UnsupportedError(
      `Cannot attach to ${name}: XDP program ${other.id}${other.name && ` ("${other.name}")`} is on it; ${remedy}`,
    );
  }

  /** Does without where ingress is watched and the kernel or the interface has no hook for egress. */
  #attachEgress(attachment: Attachment, options: AttachOptions, notices: string[]): void {
    const { iface } = attachment;
    const hook = options.egressHook === "clsact" ? "clsact" : this.#tcHook;
    let link: BpfLink | ClsactFilter | number;
    try {
      link = hook === "tcx"
        ? attachTcx(this.#libbpf, this.#object.programFd("egress_tcx"), iface.ifindex, "egress")
        : this.#attachClsact("egress", iface);
    } catch (error) {
      if (options.direction === "egress" || !(error instanceof UnsupportedError)) throw error;
      notices.push(`watching ingress only of ${iface.name}: ${error.message}`);
      return;
    }
    if (typeof link === "number") throw new SystemError(`attach to ${iface.name} for egress (${hook})`, link);
    attachment.hooks.push({ direction: "egress", link, lost: false, inFront: "" });
    iface.egress = hook;
  }

  /** What has changed since the last call. */
  takeChanges(): AttachmentChanges {
    const changes: AttachmentChanges = { gone: [], notices: [] };
    for (const attachment of this.#attachments.filter((it) => !it.gone)) {
      const { iface: { name, ifindex }, hooks } = attachment;
      const lost = hooks.filter((hook) => !hook.lost && !hook.link.attached);
      if (lost.length === 0) continue;
      for (const hook of lost) hook.lost = true;
      const exists = interfaceNameOf(ifindex) !== null;
      attachment.gone = !exists || hooks.every((hook) => hook.lost);
      if (attachment.gone) changes.gone.push({ name, exists });
      else {
        for (const { direction } of lost) {
          const message =
            `${direction} of ${name} is not counted any more, since another program detached what watched it; start ebpfmon again to watch it`;
          changes.notices.push({ alert: "hook_lost", message });
        }
      }
    }
    changes.notices.push(...this.#newInFront());
    return changes;
  }

  /** Filters of others in front of ours, where there are others than at the last look. */
  #newInFront(): AttachmentChanges["notices"] {
    const notices: AttachmentChanges["notices"] = [];
    for (const { iface, hooks, gone } of this.#attachments) {
      for (const hook of hooks) {
        if (gone || hook.lost || !(hook.link instanceof ClsactFilter)) continue;
        const inFront = hook.link.inFront().join(", ");
        if (inFront !== "" && inFront !== hook.inFront) {
          const message =
            `${iface.name} ${hook.direction}: these filters of others come first, and a packet that one of them ends is not counted: ${inFront}`;
          notices.push({ alert: "filter_in_front", message });
        }
        hook.inFront = inFront;
      }
    }
    return notices;
  }

  /** Interfaces still watched. */
  get watched(): number {
    return this.#attachments.filter((attachment) => !attachment.gone).length;
  }

  /** Stops counting. */
  detach(): void {
    // Filters before their owner, which vouches for them; one that cannot be removed keeps none of the others.
    using stack = new DisposableStack();
    stack.use(this.#filterOwner);
    for (const { link } of this.#attachments.flatMap((attachment) => attachment.hooks)) stack.use(link);
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}
