/**
 * Where closed groups go: recorded once, whoever gives them and however often, and the first time also sent as a trace.
 * A process that dies between the two leaves a group without its trace, never a trace without its group; where the ledger
 * is the store of a server by itself, the next run sends it (trace_outbox.ts).
 */
import type { OtlpExporter } from "../traces/otlp_exporter.ts";
import { SaidOnce } from "../said_once.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { delay } from "../../runtime/timers.ts";

/** Keeps groups by id. */
export interface GroupLedger {
  /** Records groups of a partition, in order. @returns ids of those that nobody had recorded before */
  record(partition: number, groups: CorrelatedGroup[]): Promise<Iterable<string>>;
}

const RETRY_MS = 1000;
/** Whose fault is told once. */
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

  /** Takes groups and returns at once. A ledger that fails is asked again: groups are in no other place. */
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

  /** Resolves when all that was added is recorded, or given up after `stop`. */
  async settled(): Promise<void> {
    await this.#recorded;
  }

  /** What was added since may be lost: a checkpoint behind it would be wrong. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Nothing is tried again from now on. */
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
