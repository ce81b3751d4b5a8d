/** What an event is about, and how soon it is to be looked at. Both follow from its header. */
import { EVENT_TYPE, SEVERITY } from "../wire/layouts.gen.ts";
import { CATEGORIES, type Category, type EventBatch, type Priority } from "./event_batch.ts";

/** By `enum event_type`: index in CATEGORIES. */
const CATEGORY_OF_TYPE = new Uint8Array(EVENT_TYPE.EVENT_TYPES);
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_PROCESS_EXEC] = CATEGORIES.indexOf("process");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_PROCESS_EXIT] = CATEGORIES.indexOf("process");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_FILE_OPEN] = CATEGORIES.indexOf("filesystem");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_NETWORK_CONNECT] = CATEGORIES.indexOf("network");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_TCP_STATE] = CATEGORIES.indexOf("network");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_SECURITY_VIOLATION] = CATEGORIES.indexOf("syscall");
CATEGORY_OF_TYPE[EVENT_TYPE.EVENT_RESOURCE_LIMIT] = CATEGORIES.indexOf("syscall");

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

/** Sets the columns of event `i`. */
export function categoriseEvent(batch: EventBatch, i: number): void {
  batch.category[i] = categoryIndex(batch.type(i));
  batch.priority[i] = priorityOf(batch.severity(i));
}
