/** What TCP sends again, between the kernel and the flows of the aggregator worker. Composes lib/ffi with what is pure. */
import { PrivilegeError } from "../../runtime/errors.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { RetransmitProbe } from "./retransmit_probe.ts";
import type { FlowWindow } from "../windows/flow_window.ts";
import type { RetransmitCounters } from "../windows/retransmit_counts.ts";
import { RetransmitTable } from "./retransmit_table.ts";

/** Connections that retransmit within one window; about 1 MB a side. More are counted in the sum alone. */
const CONNECTIONS_MAX = 8_192;

export interface RetransmitWatchOptions {
  options: { assetsDir: string };
  /** Takes what an operator should know. */
  notice(text: string): void;
}

/** Its windows are the flows': `flip` with their side, `take` when it is quiet, `finish` when all flows have asked. */
export class RetransmitWatch implements Disposable {
  readonly table: RetransmitTable;
  readonly #probe: RetransmitProbe;
  #taken: RetransmitCounters | null = null;
  #missedRuns = 0n;

  private constructor(probe: RetransmitProbe) {
    this.#probe = probe;
    // Interfaces are those of our own namespace.
    this.table = new RetransmitTable(probe.netns);
  }

  /**
   * Loads the programs and starts counting.
   *
   * @returns null where the kernel lacks what it takes, which is then a notice
   * @throws {PrivilegeError}
   */
  static tryStart(libbpf: Libbpf, { options, notice }: RetransmitWatchOptions): RetransmitWatch | null {
    try {
      using stack = new DisposableStack();
      const elf = Deno.readFileSync(`${options.assetsDir}/bpf/retransmit.bpf.o`);
      const probe = stack.use(new RetransmitProbe(libbpf, elf, { entriesMax: CONNECTIONS_MAX }));
      probe.attach();
      stack.move();
      return new RetransmitWatch(probe);
    } catch (error) {
      if (error instanceof PrivilegeError) throw error;
      notice(`retransmits are not counted: ${(error as Error).message}`);
      return null;
    }
  }

  /** Stops counting; a window that is ended afterwards has the rest. */
  detach(): void {
    this.#probe.detach();
  }

  /** Ends a window; whoever flips more with it waits for programs. */
  flip(): void {
    this.#probe.flip();
  }

  /** The side that is quiet now, into the table. */
  take(): void {
    this.#taken = this.#probe.take((batch) => this.table.addBatch(batch));
  }

  /** The sums of what was taken, all flows of the window having been looked up. */
  finish(): Required<Pick<FlowWindow, "retransmits">> {
    if (this.#taken === null) throw new Error("Cannot sum retransmits up: nothing was taken");
    const missedRuns = this.#probe.missedRuns;
    const retransmits = this.table.finish(this.#taken, Number(missedRuns - this.#missedRuns));
    this.#taken = null;
    this.#missedRuns = missedRuns;
    return { retransmits };
  }

  [Symbol.dispose](): void {
    this.#probe[Symbol.dispose]();
  }
}
