/**
 * What guests report, a JSON line a result, and what becomes of it. Whatever a guest did not report has failed: a guest
 * that dies or hangs must not look like one with fewer tests.
 */

export type Outcome = "passed" | "failed" | "skipped";

/** One test on one kernel. */
export interface Result {
  kernel: string;
  /** `SUBJECT: CHECK` */
  test: string;
  outcome: Outcome;
  /** Why it failed or was skipped. */
  detail: string;
}

/** Lines of a guest. */
export type GuestLine =
  | { kind: "result"; test: string; outcome: Outcome; detail: string }
  /** How long a subject took in the guest. */
  | { kind: "time"; subject: string; seconds: number }
  /** Something measured or found that is kept for a table. */
  | { kind: "fact"; table: string; row: string; value: unknown };

const OUTCOMES: readonly unknown[] = ["passed", "failed", "skipped"] satisfies Outcome[];

/** @returns null for a line that is none of a guest's */
export function parseGuestLine(line: string): GuestLine | null {
  let object;
  try {
    object = JSON.parse(line);
  } catch {
    return null;
  }
  if (object === null || typeof object !== "object") return null;
  const { kind, test, outcome, detail, subject, seconds, table, row } = object;
  switch (kind) {
    case "result":
      return typeof test === "string" && OUTCOMES.includes(outcome) && typeof detail === "string" ? object : null;
    case "time":
      return typeof subject === "string" && typeof seconds === "number" ? object : null;
    case "fact":
      return typeof table === "string" && typeof row === "string" ? object : null;
    default:
      return null;
  }
}

/** The results of one kernel's guest. */
export class KernelResults {
  readonly results: Result[] = [];
  readonly #kernel: string;
  readonly #waiting: Set<string>;

  /** @param tests all that the guest has to report, each once */
  constructor(kernel: string, tests: readonly string[]) {
    this.#kernel = kernel;
    this.#waiting = new Set(tests);
  }

  /** @returns the result as it counts: one of no known test, or a second one of the same test, is a failure */
  take({ test, outcome, detail }: Extract<GuestLine, { kind: "result" }>): Result {
    const known = this.#waiting.delete(test);
    const result = known ? { test, outcome, detail } : {
      test,
      outcome: "failed" as const,
      detail: "reported, but it is not one of the tests, or was reported before",
    };
    return this.#add(result);
  }

  /** Fails every test that was not reported. @param reason what became of the guest */
  finish(reason: string): Result[] {
    const missing = [...this.#waiting];
    this.#waiting.clear();
    return missing.map((test) => this.#add({ test, outcome: "failed", detail: `not reported: ${reason}` }));
  }

  #add(result: Omit<Result, "kernel">): Result {
    const whole = { kernel: this.#kernel, ...result };
    this.results.push(whole);
    return whole;
  }
}

/** `ok 6.1 flows: both directions agree with the device` */
export function renderResult({ kernel, test, outcome, detail }: Result): string {
  const word = { passed: "ok", failed: "FAILED", skipped: "skipped" }[outcome];
  const reason = detail === "" ? "" : ` (${detail.replaceAll(/\s*\n\s*/g, " | ")})`;
  return `${word} ${kernel} ${test}${reason}`;
}

export function count(results: readonly Result[], outcome: Outcome): number {
  return results.filter((result) => result.outcome === outcome).length;
}

/** `57 passed, 1 failed, 2 skipped`; what was skipped only where there is some. */
export function renderSum(results: readonly Result[]): string {
  const skipped = count(results, "skipped");
  const rest = skipped === 0 ? "" : `, ${skipped} skipped`;
  return `${count(results, "passed")} passed, ${count(results, "failed")} failed${rest}`;
}

/** Whether the run was good: nothing failed, and something ran. */
export function isGood(results: readonly Result[]): boolean {
  return count(results, "failed") === 0 && count(results, "passed") > 0;
}

export interface KernelRow {
  kernel: string;
  /** As `uname -r` says it; empty where the kernel could not be fetched. */
  release: string;
  seconds: number;
}

/** Kernels against passed, failed and skipped. */
export function renderTable(rows: readonly KernelRow[], results: readonly Result[]): string {
  const head = ["kernel", "release", "passed", "failed", "skipped", "seconds"];
  const body = rows.map(({ kernel, release, seconds }) => {
    const own = results.filter((result) => result.kernel === kernel);
    const counts = (["passed", "failed", "skipped"] as const).map((outcome) => String(count(own, outcome)));
    return [kernel, release === "" ? "-" : release, ...counts, seconds.toFixed(0)];
  });
  return renderColumns([head, ...body]);
}

/** Columns of equal width; numbers to the right. */
export function renderColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (text: string, column: number) =>
    /^[\d.]+$/.test(text) && column > 0 ? text.padStart(widths[column]) : text.padEnd(widths[column]);
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}
