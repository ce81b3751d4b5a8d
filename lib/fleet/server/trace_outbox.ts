/**
 * The groups whose traces are still to be sent, in a server's own store. An entry is written with its group, and
 * removed once the exporter has finished with it, many at a time. Traces that a run leaves, killed or stopped, are sent
 * by the next run. Ids of traces and spans are derived from the group's id, so that a trace which is sent again is the
 * same one.
 */
import type { OtlpExporter } from "../traces/otlp_exporter.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { decodeUntraced } from "./group_json.ts";
import type { FleetStoreHandle } from "./store_handle.ts";

const STRIKE_MS = 1000;
/** Groups that are sent again at a time: their spans fit into the exporter's queue several times. */
const RESEND_GROUPS = 64;

export class TraceOutbox implements AsyncDisposable {
  readonly #store: Pick<FleetStoreHandle, "call">;
  readonly #notice: (text: string) => void;
  /** Ids of groups whose entries are to be removed. */
  #settled: string[] = [];
  #striking: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Ids of groups that are being sent again, and the function that wakes the one who waits for the last of them. */
  readonly #resent = new Set<string>();
  #resume: () => void = () => {};

  constructor(store: Pick<FleetStoreHandle, "call">, notice: (text: string) => void) {
    this.#store = store;
    this.#notice = notice;
  }

  /** Notes that the exporter has finished with these groups. Returns at once. */
  settle(ids: readonly string[]): void {
    this.#settled.push(...ids);
    this.#timer ??= setTimeout(() => this.#strike(), STRIKE_MS);
    for (const id of ids) this.#resent.delete(id);
    if (this.#resent.size === 0) this.#resume();
  }

  /** Sends the traces that earlier runs have left, some at a time, until `signal` aborts. Never rejects. */
  async resend(exporter: Pick<OtlpExporter, "send">, signal: AbortSignal): Promise<void> {
    const stop = () => this.#resume();
    signal.addEventListener("abort", stop);
    try {
      let after = 0;
      while (!signal.aborted) {
        const rows = await this.#store.call("untraced", { after, limit: RESEND_GROUPS });
        if (rows.length === 0) return;
        after = rows.at(-1)!.position;
        const groups = rows.flatMap(({ body }) => this.#decode(body));
        for (const { id } of groups) this.#resent.add(id);
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#resume = resolve;
        for (const group of groups) exporter.send(group);
        if (!signal.aborted && groups.length > 0) await promise;
      }
    } catch (error) {
      this.#notice(`traces that an earlier run has left are not sent: ${(error as Error).message}`);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Decodes the group of an entry; empty where it cannot be read, so that it does not hold up the others. */
  #decode(body: string): CorrelatedGroup[] {
    try {
      return [decodeUntraced(body)];
    } catch (error) {
      this.#notice(`a trace that an earlier run has left cannot be read: ${(error as Error).message}`);
      return [];
    }
  }

  #strike(): void {
    this.#timer = undefined;
    this.#striking = this.#striking.then(async () => {
      const ids = this.#settled;
      this.#settled = [];
      try {
        if (ids.length > 0) await this.#store.call("traced", { ids });
      } catch (error) {
        this.#settled.push(...ids); // they go with the next
        this.#notice(`traces that were sent may be sent again after a restart: ${(error as Error).message}`);
      }
    });
  }

  /** Removes the remaining entries; to be called when the exporter has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#strike();
    await this.#striking;
  }
}
