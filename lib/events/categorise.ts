/** Category and priority of events. Both follow from the header of a record. */
import { SEVERITY } from "../wire/layouts.gen.ts";
import type { EventBatch, Priority } from "./event_batch.ts";
import { CATEGORIES, type Category } from "./types/category.ts";
import { DESCRIPTIONS_BY_NUMBER } from "./types/mod.ts";

/** By `enum event_type`: index in CATEGORIES. */
const CATEGORY_OF_TYPE = Uint8Array.from(DESCRIPTIONS_BY_NUMBER, ({ category }) => CATEGORIES.indexOf(category));

/** @param type of `enum event_type`; any other number is `unknown` @returns index in CATEGORIES */
export function categoryIndex(type: number): number {
  return type < CATEGORY_OF_TYPE.length ? CATEGORY_OF_TYPE[type] : 0;
}

/** @param type of `enum event_type`; any other number is `unknown` */
export function categorise(type: number): Category {
  return CATEGORIES[categoryIndex(type)];
}

/** Critical and error come first, warning and info second, debug last. @param severity of `enum severity` */
export function priorityOf(severity: number): Priority {
  if (severity <= SEVERITY.SEVERITY_ERROR) return 1;
  return severity <= SEVERITY.SEVERITY_INFO ? 2 : 3;
}

/** Sets `category` and `priority` of event `i` of the batch. */
export function categoriseEvent(batch: EventBatch, i: number): void {
  batch.category[i] = categoryIndex(batch.type(i));
  batch.priority[i] = priorityOf(batch.severity(i));
}
