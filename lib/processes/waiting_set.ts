/** Distinct values that wait for work, in the order in which they were added. */
export class WaitingSet<Value> {
  readonly #values = new Set<Value>();
  readonly #sizeMax: number;
  #refused = 0;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#values.size;
  }

  /** How often a value was not added because the set was full. */
  get refused(): number {
    return this.#refused;
  }

  add(value: Value): void {
    if (this.#values.size < this.#sizeMax) this.#values.add(value);
    else if (!this.#values.has(value)) this.#refused++;
  }

  delete(value: Value): void {
    this.#values.delete(value);
  }

  /** Puts a value that waits behind the others. */
  moveLast(value: Value): void {
    if (this.#values.delete(value)) this.#values.add(value);
  }

  [Symbol.iterator](): IterableIterator<Value> {
    return this.#values.values();
  }
}
