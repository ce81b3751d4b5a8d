/** All that runs on each kernel, in this order: one entry a subject. */
import { badDays } from "./bad_days.ts";
import { doctor } from "./doctor.ts";
import { events } from "./events.ts";
import { flows } from "./flows.ts";
import { install } from "./install.ts";
import { kill } from "./kill.ts";
import { lockdown } from "./lockdown.ts";
import { programs } from "./programs.ts";
import { replay } from "./replay.ts";
import { service } from "./service.ts";
import type { Subject } from "./subject.ts";
import { top } from "./top.ts";
import { withoutBtf } from "./without_btf.ts";

export const SUBJECTS: readonly Subject[] = [
  install,
  doctor,
  programs,
  events,
  flows,
  kill,
  top,
  replay,
  service,
  badDays,
  lockdown,
  withoutBtf,
];

/** Those that were asked for, and `install`, which the others need; without names all but the longest. */
export function chosenSubjects(names: readonly string[]): readonly Subject[] {
  if (names.length === 0) return SUBJECTS.filter(({ onRequest }) => onRequest !== true);
  return SUBJECTS.filter(({ name }) => name === install.name || names.includes(name));
}
