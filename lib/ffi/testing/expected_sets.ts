/** The sets that a test expects of its double-buffered structures, and the outcome of each. */

interface Expectation {
  structure: string;
  values: string;
  error: Error | null;
}

/**
 * @example
 * ```ts
 * const expected = new ExpectedSets().expect("ports", [80, 443]).expect("ports", [80], { error: new Error("full") });
 * const ports = new FakeDoubleBufferedArray(new FakePointer(), 0, { name: "ports", codec: U32, expected });
 * reload(ports);
 * expected.verify();
 * ```
 */
export class ExpectedSets {
  readonly #order: "ordered" | "unordered";
  readonly #pending: Expectation[] = [];

  /** @param order whether the sets must come in the order in which they were expected */
  constructor(order: "ordered" | "unordered" = "ordered") {
    this.#order = order;
  }

  /**
   * Expects one set.
   *
   * @param structure the name of a fake
   * @param values all values, in their order
   * @param outcome `error` is thrown instead of setting the values
   */
  expect(structure: string, values: readonly unknown[], outcome: { error?: Error } = {}): this {
    this.#pending.push({ structure, values: textOf(values), error: outcome.error ?? null });
    return this;
  }

  /** Called by the fakes for each set. @throws {Error} for a set that is not expected, or the expected error */
  take(structure: string, values: readonly unknown[]): void {
    const text = textOf(values);
    const candidates = this.#order === "ordered" ? this.#pending.slice(0, 1) : this.#pending;
    const found = candidates.find((it) => it.structure === structure && it.values === text);
    if (found === undefined) {
      const next = candidates.map((it) => `${it.structure} ${it.values}`).join(" or ") || "nothing more";
      throw new Error(`Cannot set ${structure} ${text}: expected ${next}`);
    }
    this.#pending.splice(this.#pending.indexOf(found), 1);
    if (found.error !== null) throw found.error;
  }

  /** Checks that every expected set has come. @throws {Error} when one has not */
  verify(): void {
    if (this.#pending.length === 0) return;
    throw new Error(`Never set: ${this.#pending.map((it) => `${it.structure} ${it.values}`).join("; ")}`);
  }
}

/** A text that is equal for equal values: JSON, extended by bigints and bytes. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part) => {
    if (typeof part === "bigint") return `${part}n`;
    return part instanceof Uint8Array ? `bytes ${part}` : part;
  });
}
