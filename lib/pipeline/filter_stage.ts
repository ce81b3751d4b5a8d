/**
 * The first stage: it refuses records that are no events, categorises the others, and drops events that filters
 * exclude.
 */
import { compileEventFilter } from "../filter/events.ts";
import { type EventFilter, parseEventFilter } from "../filter/language.ts";
import { categoriseEvent } from "../events/categorise.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { recordFault } from "../events/record_check.ts";
import type { Stage } from "./stage.ts";

/** Events for which `filter` is true go no further. Plain data. */
export interface DropRule {
  name: string;
  /** In the language of `--filter`. */
  filter: string;
}

/** Drops debug events of the first processes of a machine: threads of the kernel, and programs that start it. */
export const DEFAULT_DROP_RULES: readonly DropRule[] = [
  { name: "low_priority_system", filter: "priority 3 and pid < 100" },
];

/** The name under which the user's filter counts what it drops. */
export const USER_FILTER_NAME = "filter";

export interface FilterStageOptions {
  dropRules: readonly DropRule[];
  /** Events for which it is false are dropped; null keeps all. */
  filter: EventFilter | null;
}

/** Events that a rule dropped. */
export interface DropCount {
  rule: string;
  count: number;
}

interface CountedRule extends DropCount {
  drops(batch: EventBatch, i: number): boolean;
}

export class FilterStage implements Stage {
  readonly name = "filter";
  readonly #rules: CountedRule[];

  /** @throws {SyntaxError} where the filter of a drop rule cannot be parsed */
  constructor({ dropRules, filter }: FilterStageOptions) {
    this.#rules = dropRules.map(({ name, filter }) => ({ rule: name, count: 0, drops: compileRule(name, filter) }));
    if (filter !== null) {
      const matches = compileEventFilter(filter);
      this.#rules.push({ rule: USER_FILTER_NAME, count: 0, drops: (batch, i) => !matches(batch, i) });
    }
  }

  /** @throws {TypeError} where a record contradicts itself: it is the event at `batch.next` */
  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const i = batch.next;
      if (batch.lengths[i] === 0) continue;
      const fault = recordFault(batch, i);
      if (fault !== null) throw new TypeError(`Cannot read an event: ${fault}`);
      categoriseEvent(batch, i);
      this.#judge(batch, i);
    }
  }

  /**
   * The events that each rule dropped since the last call. Rules are in the order in which they are asked; the user's
   * filter is last.
   */
  take(): DropCount[] {
    return this.#rules.map((counted) => {
      const { rule, count } = counted;
      counted.count = 0;
      return { rule, count };
    });
  }

  /** Drops event `i` by the first rule that wants it dropped, which counts it. */
  #judge(batch: EventBatch, i: number): void {
    const rules = this.#rules;
    for (let rule = 0; rule < rules.length; rule++) {
      if (!rules[rule].drops(batch, i)) continue;
      rules[rule].count++;
      batch.drop(i);
      return;
    }
  }
}

function compileRule(name: string, filter: string): CountedRule["drops"] {
  try {
    return compileEventFilter(parseEventFilter(filter));
  } catch (error) {
    if (error instanceof SyntaxError) throw new SyntaxError(`drop rule "${name}": ${error.message}`);
    throw error;
  }
}
