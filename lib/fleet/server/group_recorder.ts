/**
 * Records closed groups. Each group is recorded once, whoever brings it and however often, and its trace is sent the
 * first time. A process that dies in between leaves a group without its trace, never a trace without its group; where
 * the ledger is a server's own store, the next run sends the trace (trace_outbox.ts).
 */
import type { OtlpExporter } from "../traces/otlp_exporter.ts";
import { SaidOnce } from "../said_once.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { delay } from "../../runtime/timers.ts";

/** A record of groups by their ids. */
export interface GroupLedger {
  /** Records groups of a partition in order. @returns ids of the groups that had not been recorded before */
  record(partition: number, groups: CorrelatedGroup[]): Promise<Iterable<string>>;
}

const RETRY_MS = 1000;
/** The topic under which failures of the ledger are told once. */
const LEDGER = "ledger";

export class GroupRecorder {
  readonly #ledger: GroupLedger;
  readonly #traces: Pick<OtlpExporter, "send"> | null;
  readonly #faults: SaidOnce;
  #recorded: Promise<void> = Promise.resolve();
  #stopped = false;
  #recordedGroups = 0;
  #repeatedGroups = 0;

  constructor(ledger: GroupLedger, traces: Pick<OtlpExporter, "send"> | null, notice: (text: string) => void) {
    this.#ledger = ledger;
    this.#traces = traces;
    this.#faults = new SaidOnce(notice);
  }

  get counts(): { recorded: number; repeated: number } {
    return { recorded: this.#recordedGroups, repeated: this.#repeatedGroups };
  }

  /**
   * Takes groups and returns at once. When the ledger fails, the recorder tries again, because the groups are nowhere
   * else.
   */
  add(partition: number, groups: CorrelatedGroup[]): void {
    this.#recorded = this.#recorded.then(async () => {
      while (!this.#stopped) {
        try {
          const added = await this.#ledger.record(partition, groups);
          this.#faults.over(LEDGER);
          return this.#take(groups, added);
        } catch (error) {
          this.#faults.say(LEDGER, `groups are not recorded yet: ${(error as Error).message}`);
          await delay(RETRY_MS);
        }
      }
    });
  }

  /** Resolves when all added groups are recorded, or given up after `stop`. */
  async settled(): Promise<void> {
    await this.#recorded;
  }

  /** True after `stop`: groups may be lost from then on, so that a later checkpoint would be wrong. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Gives up groups that cannot be recorded at once, from now on. */
  stop(): void {
    this.#stopped = true;
  }

  #take(groups: CorrelatedGroup[], added: Iterable<string>): void {
    const isNew = new Set(added);
    for (const group of groups) {
      if (!isNew.has(group.id)) {
        this.#repeatedGroups++;
        continue;
      }
      this.#recordedGroups++;
      this.#traces?.send(group);
    }
  }
}
