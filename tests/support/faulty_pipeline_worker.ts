/**
 * A worker of a pipeline that fails as the environment says, and whose last node refuses events that come out of order or
 * twice: they become dead letters.
 */
import { EVENT } from "../../lib/wire/layouts.gen.ts";
import type { EventBatch } from "../../lib/events/event_batch.ts";
import { serveNode } from "../../lib/pipeline/node_worker.ts";
import { StageBroken } from "../../lib/pipeline/run_stage.ts";
import type { Stage } from "../../lib/pipeline/stage.ts";
import { currentFault, type Fault } from "./pipeline_faults.ts";

/** Far longer than the test lets a worker be at one batch. */
const HANG_MS = 2_000;

/** The number that pipeline_run.ts gave an event. */
function numberOf(batch: EventBatch, i: number): number {
  return Number(batch.data.getBigUint64(batch.offsets[i] + EVENT.fields.first_ns.offset, true));
}

class FaultyStage implements Stage {
  readonly name = "faulty";
  readonly #fault: Fault;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const number = numberOf(batch, batch.next);
      if (this.#fault.kind === "throw") {
        if (number % this.#fault.number === 0) throw new Error(`Cannot bear number ${number}`);
      } else if (this.#fault.kind === "die_always") {
        throw new StageBroken("Cannot go on");
      } else if (number === this.#fault.number && batch.attempts < this.#fault.deaths) {
        this.#break();
      }
    }
  }

  #break(): void {
    const broken = () => {
      throw new StageBroken(`Cannot go on: ${this.#fault.kind}`);
    };
    switch (this.#fault.kind) {
      case "die":
        return broken();
      case "hang":
        // Not for ever: nothing ends a thread that does not come back.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HANG_MS);
        return;
      case "spin":
        for (;;); // Not even terminate() ends it.
      case "microtask":
        return queueMicrotask(broken);
      case "timer":
        return void setTimeout(broken);
    }
  }
}

/** Refuses what is not newer than the event before it of the same process and ring. */
class OrderStage implements Stage {
  readonly name = "order";
  readonly #last = new Map<string, number>();

  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const process = `${batch.pid(batch.next)} ring ${batch.ring[batch.next]}`;
      const number = numberOf(batch, batch.next);
      const last = this.#last.get(process) ?? -1;
      if (number <= last) throw new Error(`Cannot put number ${number} of process ${process} behind ${last}`);
      this.#last.set(process, number);
    }
  }
}

if (typeof WorkerGlobalScope !== "undefined") {
  const fault = currentFault();
  serveNode(({ plan }) => {
    if (fault.kind !== "none" && plan.name.startsWith(fault.node)) {
      if (fault.kind === "start") throw new StageBroken("Cannot begin");
      return new FaultyStage(fault);
    }
    return plan.outputs.length === 0 && plan.distribution === "hash" ? new OrderStage() : null;
  });
}
