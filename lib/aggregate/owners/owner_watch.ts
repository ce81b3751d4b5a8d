/** Owners of flows between the kernel and the aggregator worker. Composes lib/ffi with what is pure. */
import { PrivilegeError } from "../../runtime/errors.ts";
import { monotonicNs } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { type OwnerWay, SocketOwnerProbe } from "./socket_owner_probe.ts";
import type { FilterableFlow } from "../../filter/flows.ts";
import type { FlowOwnerSource } from "./flow_owner_source.ts";
import type { ProcessDetails } from "../../processes/process_details.ts";
import type { ProcessDescription, SocketOwner } from "../../processes/process_identity.ts";
import { SocketOwners } from "./socket_owners.ts";

/** Sockets in use, on all but the busiest hosts; about 14 MB. */
const OWNERS_MAX = 65_536;

/**
 * From the end of a scan to the next one, where most sockets are only found by scans: as short as processes that matter
 * live, and never so short that scans take more than a part of the time.
 */
const SCAN_PAUSE_MS = 2_000;
const SCAN_SHARE_MAX = 1 / 20;

export interface OwnerWatchOptions {
  options: { assetsDir: string };
  details: ProcessDetails;
  /** Takes what an operator should know. */
  notice(text: string): void;
  /** The only ways of seeing who uses a socket that are tried; all by default. */
  ways?: readonly OwnerWay[];
}

export class OwnerWatch implements FlowOwnerSource, Disposable {
  readonly #probe: SocketOwnerProbe;
  readonly #owners: SocketOwners;
  readonly #details: ProcessDetails;
  #scanTimer: ReturnType<typeof setTimeout> | undefined;
  #scan = Promise.resolve();
  #detached = false;

  private constructor(probe: SocketOwnerProbe, details: ProcessDetails) {
    this.#probe = probe;
    // Interfaces are those of our own namespace.
    this.#owners = new SocketOwners(probe, probe.netns);
    this.#details = details;
  }

  /**
   * Notes who uses which socket from now on, and who holds those that there are.
   *
   * @returns null where the kernel lacks what it takes, which is then a notice
   * @throws {PrivilegeError}
   */
  static async tryStart(
    libbpf: Libbpf,
    { options, details, notice, ways }: OwnerWatchOptions,
  ): Promise<OwnerWatch | null> {
    try {
      using stack = new DisposableStack();
      const elf = Deno.readFileSync(`${options.assetsDir}/bpf/socket_owner.bpf.o`);
      const probe = stack.use(new SocketOwnerProbe(libbpf, elf, { ownersMax: OWNERS_MAX, ways }));
      probe.attach();
      const scanStartMs = performance.now();
      await probe.scan();
      probe.notices.forEach(notice);
      const watch = new OwnerWatch(probe, details);
      if (probe.needsScans) watch.#scheduleScan(performance.now() - scanStartMs);
      stack.move();
      return watch;
    } catch (error) {
      if (error instanceof PrivilegeError) throw error;
      notice(`flows have no owners: ${(error as Error).message}`);
      return null;
    }
  }

  #scheduleScan(lastMs: number): void {
    const pauseMs = Math.max(SCAN_PAUSE_MS, lastMs / SCAN_SHARE_MAX);
    this.#scanTimer = setTimeout(() => this.#scan = this.#scanAgain(), pauseMs);
  }

  async #scanAgain(): Promise<void> {
    const startMs = performance.now();
    // One that fails, as for want of a descriptor, is made up for by the next.
    await this.#probe.scan().catch(() => {});
    if (!this.#detached) this.#scheduleScan(performance.now() - startMs);
  }

  ownerOf(flow: FilterableFlow): SocketOwner | null {
    return this.#owners.ownerOfPacked(flow, monotonicNs);
  }

  containerOf(owner: SocketOwner): string {
    return this.#details.containerOf(owner).containerId;
  }

  describe(owner: SocketOwner): ProcessDescription {
    return this.#details.describe(owner);
  }

  /** Stops noting; what is known stays. */
  detach(): void {
    this.#detached = true;
    clearTimeout(this.#scanTimer);
    this.#probe.detach();
  }

  /** Waits for a scan that goes on. */
  settle(): Promise<void> {
    return this.#scan;
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#probe[Symbol.dispose]();
  }
}
