/** Runs subjects one after another and reports each check once. */
import type { GuestLine } from "../results.ts";
import { type Guest, Skip, type Subject } from "./subject.ts";

/** Long enough for what differs, short enough for one line. */
const DETAIL_CHARS = 1_500;

/** Colours are for terminals; the rest of an error is what was expected. */
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[\d;]*m/g;

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(COLOURS, "").trim().slice(0, DETAIL_CHARS);
}

class TimeIsOver extends Error {}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeIsOver(`it took longer than ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // Late or not, its end is nobody's error any more.
    work.catch(() => {});
  }
}

export type GuestBase = Omit<Guest, "owned" | "fact">;

async function runSubject(subject: Subject, base: GuestBase, report: (line: GuestLine) => void): Promise<void> {
  const owned = new AsyncDisposableStack();
  const guest: Guest = {
    ...base,
    owned,
    fact: (table, row, value) => report({ kind: "fact", table, row, value }),
  };
  const startMs = performance.now();
  console.error(`tests: ${subject.name}`);
  const result = (check: string, outcome: "passed" | "failed" | "skipped", detail = "") =>
    report({ kind: "result", test: `${subject.name}: ${check}`, outcome, detail });
  const limitMs = subject.limitSeconds * 1000;
  let failure: unknown = null;
  let run: (check: string) => void | Promise<void> = () => {};
  try {
    run = await within(limitMs, subject.gather(guest));
  } catch (error) {
    failure = error;
  }
  for (const check of subject.checks) {
    try {
      if (failure !== null) throw failure;
      await within(limitMs, Promise.resolve().then(() => run(check)));
      result(check, "passed");
    } catch (error) {
      result(check, error instanceof Skip ? "skipped" : "failed", reasonOf(error));
    }
  }
  try {
    await within(limitMs, owned.disposeAsync());
  } catch (error) {
    // Its checks are reported; what it left behind may disturb those that follow, and the log tells why.
    console.error(`${subject.name}: cannot tidy up: ${reasonOf(error)}`);
  }
  report({ kind: "time", subject: subject.name, seconds: Math.round((performance.now() - startMs) / 100) / 10 });
}

export async function runSubjects(
  subjects: readonly Subject[],
  base: GuestBase,
  report: (line: GuestLine) => void,
): Promise<void> {
  for (const subject of subjects) await runSubject(subject, base, report);
}
