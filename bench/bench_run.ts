/** What each bench is run with: how much it does, where its results go, and the sums that it checks. */

/** A measurement, or a check: the same code with small numbers, which reports no times. */
export class BenchRun {
  readonly isCheck: boolean;
  #sums = 0;

  constructor(options: { isCheck: boolean }) {
    this.isCheck = options.isCheck;
  }

  /** Sums that were right so far. */
  get sums(): number {
    return this.#sums;
  }

  /** @returns the first value for a measurement, the second one for a check */
  pick<T>(measured: T, checked: T): T {
    return this.isCheck ? checked : measured;
  }

  /** Prints a line of results. A check prints none: its times mean nothing. */
  report(line: string): void {
    if (!this.isCheck) console.log(line);
  }

  /**
   * Compares a sum with what it must be; a measurement does so too.
   *
   * @param what names the sum in the error
   * @throws {Error} when the two differ
   */
  equal<T extends number | bigint | string>(what: string, actual: T, expected: T): void {
    if (actual !== expected) throw new Error(`Cannot trust this bench: ${what} is ${actual}, not ${expected}`);
    this.#sums++;
  }
}

/** What every file that `BENCHES` names exports. */
export interface BenchModule {
  /** @throws {Error} when a sum is wrong */
  bench(run: BenchRun): void | Promise<void>;
}
