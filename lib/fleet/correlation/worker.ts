/** The correlation worker: an engine for each partition that this process has. The protocol is in correlator_messages.ts. */
/// <reference lib="deno.worker" />
import { gunzipSync, gzipSync } from "node:zlib";
import { Batch } from "../proto/ebpfmon.gen.ts";
import { recordNumber } from "../sequences.ts";
import { CorrelationEngine } from "./engine.ts";
import type { CorrelatedGroup, CorrelationOptions, CorrelationRule } from "./correlated_group.ts";
import { fleetRecords } from "./fleet_records.ts";
import { WorkerMain } from "../../runtime/worker_main.ts";
import type { CorrelateReport, CorrelateRequest, CorrelationBatch } from "./correlator_messages.ts";

const STATS_MS = 1000;
/** Closing by time looks at everything that is open. */
const ADVANCE_MS = 500;
/** The quickest: states are large, and short-lived. */
const ZIP_LEVEL = 1;
const NS_PER_MS = 1_000_000n;

interface Partition {
  engine: CorrelationEngine;
  position: number;
  /** What the engine was told last. */
  advancedUnixMs: number;
  /** Given out by the engine, and not reported yet. */
  groups: CorrelatedGroup[];
}

function report(message: CorrelateReport, transfer: Transferable[] = []): void {
  self.postMessage(message, transfer);
}

function refuse({ id, partition }: { id: number; partition: number }): void {
  report({ kind: "refused", id, why: `partition ${partition} is not open` });
}

const main = new WorkerMain<CorrelateRequest, Run>();

class Run implements Disposable {
  readonly #rules: CorrelationRule[];
  readonly #options: Partial<CorrelationOptions>;
  readonly #partitions = new Map<number, Partition>();
  readonly #timer = setInterval(() => this.#reportStats(), STATS_MS);
  /** Records of newer agents that this version does not understand. */
  #unknown = 0;

  constructor(rules: CorrelationRule[], options: Partial<CorrelationOptions>) {
    this.#rules = rules;
    this.#options = options;
  }

  open(number: number, position: number, state: Uint8Array<ArrayBuffer> | null): void {
    const groups: CorrelatedGroup[] = [];
    const make = () => new CorrelationEngine(this.#rules, (group) => groups.push(group), this.#options);
    let engine = make();
    if (state !== null) {
      try {
        engine.restore(new TextDecoder().decode(gunzipSync(state)));
      } catch (error) {
        const why = (error as Error).message;
        report({ kind: "notice", text: `correlation begins anew, groups that were open are lost: ${why}` });
        engine = make();
      }
    }
    this.#partitions.set(number, { engine, position, advancedUnixMs: 0, groups });
  }

  /** @returns whether there is such a partition */
  add(number: number, batches: CorrelationBatch[]): boolean {
    const partition = this.#partitions.get(number);
    if (partition === undefined) return false;
    for (const { position, agent, severity, sequence, receivedUnixMs, content, part, places } of batches) {
      // As it was then: what is read late, after a restart or a pause, is not late for that.
      if (receivedUnixMs >= partition.advancedUnixMs + ADVANCE_MS) this.#advance(partition, receivedUnixMs);
      const { records, unknown } = fleetRecords({ agent, severity, sequence, content: Batch.decode(content) });
      this.#unknown += unknown;
      const first = recordNumber(severity, sequence, 0);
      for (const record of records) {
        if (places !== undefined) record.sequence = first + places[record.sequence - first];
        // A whole batch brings flows too, which are for connections alone.
        if (part === "host" && "flow" in record) continue;
        partition.engine.add(record, part);
      }
      partition.position = position;
    }
    this.#give(number, partition);
    return true;
  }

  /** Groups close by time too, where nothing more comes. */
  advance(number: number, unixMs: number): void {
    const partition = this.#partitions.get(number);
    if (partition === undefined) return;
    this.#advance(partition, unixMs);
    this.#give(number, partition);
  }

  /** null: there is no such partition. */
  checkpoint(number: number): { position: number; state: Uint8Array<ArrayBuffer> } | null {
    const partition = this.#partitions.get(number);
    return partition === undefined ? null : {
      position: partition.position,
      state: new Uint8Array(gzipSync(partition.engine.snapshot(), { level: ZIP_LEVEL })),
    };
  }

  close(number: number): void {
    this.#partitions.delete(number);
  }

  #advance(partition: Partition, unixMs: number): void {
    partition.advancedUnixMs = unixMs;
    partition.engine.advance(BigInt(unixMs) * NS_PER_MS);
  }

  #reportStats(): void {
    report({
      kind: "stats",
      partitions: [...this.#partitions].map(([partition, { engine, position }]) => ({
        partition,
        position,
        stats: engine.stats(),
      })),
      unknown: this.#unknown,
    });
  }

  #give(partition: number, { groups }: Partition): void {
    if (groups.length > 0) report({ kind: "groups", partition, groups: groups.splice(0) });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#partitions.clear();
  }
}

main.serve((request) => {
  switch (request.kind) {
    case "start":
      main.run = new Run(request.rules, request.options);
      report({ kind: "ready" });
      break;
    case "open":
      main.run?.open(request.partition, request.position, request.state);
      report({ kind: "taken", id: request.id });
      break;
    case "add":
      if (main.run?.add(request.partition, request.batches)) report({ kind: "taken", id: request.id });
      else refuse(request);
      break;
    case "advance":
      main.run?.advance(request.partition, request.unixMs);
      break;
    case "checkpoint": {
      const checkpoint = main.run?.checkpoint(request.partition) ?? null;
      if (checkpoint === null) refuse(request);
      else report({ kind: "checkpoint", id: request.id, ...checkpoint }, [checkpoint.state.buffer]);
      break;
    }
    case "close":
      main.run?.close(request.partition);
      break;
    case "stop":
      main.end();
      report({ kind: "stopped" });
      break;
    default:
      request satisfies never;
  }
});
