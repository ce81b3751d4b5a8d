/** What a test expects to be set, and what becomes of it. */

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

  /** @param order whether sets must come in the order in which they are expected */
  constructor(order: "ordered" | "unordered" = "ordered") {
    this.#order = order;
  }

  /**
   * @param structure the name of a fake
   * @param values all of them, in their order
   * @param outcome `error`: thrown in place of setting them
   */
  expect(structure: string, values: readonly unknown[], outcome: { error?: Error } = {}): this {
    this.#pending.push({ structure, values: textOf(values), error: outcome.error ?? null });
    return this;
  }

  /** For the fakes. @throws {Error} for what nobody expects, and whatever was to be thrown */
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

  /** @throws {Error} when something that was expected has not come */
  verify(): void {
    if (this.#pending.length === 0) return;
    throw new Error(`Never set: ${this.#pending.map((it) => `${it.structure} ${it.values}`).join("; ")}`);
  }
}

/** Equal for equal values: JSON with bigints and bytes. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part) => {
    if (typeof part === "bigint") return `${part}n`;
    return part instanceof Uint8Array ? `bytes ${part}` : part;
  });
}
