/**
 * A map with a bound on its entries, which evicts the least recently used one. It is a hash table over a doubly linked
 * list, so that each operation takes constant time.
 */

interface Node<K, V> {
  key: K;
  value: V;
  newer: Node<K, V> | null;
  older: Node<K, V> | null;
}

export class Lru<K, V> {
  readonly #nodes = new Map<K, Node<K, V>>();
  readonly #entriesMax: number;
  #newest: Node<K, V> | null = null;
  #oldest: Node<K, V> | null = null;
  #evictions = 0;

  /** @param entriesMax at least 1 */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Entries that were evicted since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  /** The value of `key`, which becomes the most recently used one. */
  get(key: K): V | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    if (node !== this.#newest) {
      this.#unlink(node);
      this.#linkNewest(node);
    }
    return node.value;
  }

  /** The value of `key`, without counting this as a use. */
  peek(key: K): V | undefined {
    return this.#nodes.get(key)?.value;
  }

  /** Sets the value of `key`, which becomes the most recently used one. */
  set(key: K, value: V): void {
    const known = this.#nodes.get(key);
    if (known !== undefined) {
      known.value = value;
      this.get(key);
      return;
    }
    if (this.#nodes.size >= this.#entriesMax) this.#evict();
    const node: Node<K, V> = { key, value, newer: null, older: null };
    this.#nodes.set(key, node);
    this.#linkNewest(node);
  }

  /** The values, the most recently used one first. */
  *values(): Generator<V> {
    for (let node = this.#newest; node !== null; node = node.older) yield node.value;
  }

  #evict(): void {
    const node = this.#oldest!;
    this.#unlink(node);
    this.#nodes.delete(node.key);
    this.#evictions++;
  }

  #linkNewest(node: Node<K, V>): void {
    node.older = this.#newest;
    node.newer = null;
    if (this.#newest !== null) this.#newest.newer = node;
    else this.#oldest = node;
    this.#newest = node;
  }

  #unlink(node: Node<K, V>): void {
    if (node.newer !== null) node.newer.older = node.older;
    else this.#newest = node.older;
    if (node.older !== null) node.older.newer = node.newer;
    else this.#oldest = node.newer;
  }
}
