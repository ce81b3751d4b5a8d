/**
 * Checks the layout of a tracepoint's records in tracefs. A program that reads them by fixed offsets may be attached
 * only where the kernel has the fields at these offsets.
 */
import { readKernelFile } from "./libc.ts";

export interface TracepointField {
  name: string;
  offset: number;
  size: number;
}

/** Where tracefs is mounted; the second is its place before Linux 4.1, which still works where debugfs is mounted. */
const TRACEFS_DIRS = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/** The fields in the text of a `format` file: `field:__u16 sport;	offset:24;	size:2;	signed:0;` */
export function parseFormat(text: string): TracepointField[] {
  const lines = text.matchAll(/^\s*field:(.+?);\s*offset:(\d+);\s*size:(\d+);/gm);
  return Array.from(lines, ([, declaration, offset, size]) => ({
    name: /(\w+)(?:\[[^\]]*\])?$/.exec(declaration.trim())?.[1] ?? "",
    offset: Number(offset),
    size: Number(size),
  }));
}

/** @returns the first of `expected` that is not among `fields`; null when all are */
export function missingField(
  fields: readonly TracepointField[],
  expected: readonly TracepointField[],
): TracepointField | null {
  const same = (a: TracepointField, b: TracepointField) =>
    a.name === b.name && a.offset === b.offset && a.size === b.size;
  return expected.find((wanted) => !fields.some((field) => same(field, wanted))) ?? null;
}

/** Checks a tracepoint. @returns why a program cannot read its records by these offsets; null when it can */
export function tracepointFault(category: string, name: string, expected: readonly TracepointField[]): string | null {
  const text = formatText(category, name);
  if (text === null) return `tracefs does not show tracepoint ${category}:${name}`;
  const missing = missingField(parseFormat(text), expected);
  return missing && `tracepoint ${category}:${name} has no field ${missing.name} at offset ${missing.offset}`;
}

function formatText(category: string, name: string): string | null {
  for (const folder of TRACEFS_DIRS) {
    try {
      return readKernelFile(`${folder}/events/${category}/${name}/format`);
    } catch {
      // Not mounted there, or not readable for this user.
    }
  }
  return null;
}
