/**
 * A map that can give out its oldest entry. A plain Map could too, but would step over the places of all that were
 * deleted before it, each time; this one goes on where it last was.
 */
export class AgedMap<Key, Value> {
  #map: Map<Key, Value>;
  #cursor: Iterator<[Key, Value]>;

  constructor(map = new Map<Key, Value>()) {
    this.#map = map;
    this.#cursor = map.entries();
  }

  get size(): number {
    return this.#map.size;
  }

  /** Its entries by age, for a snapshot; the constructor takes them back. */
  get saved(): Map<Key, Value> {
    return this.#map;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  /** A key that is there keeps its age. */
  set(key: Key, value: Value): void {
    this.#map.set(key, value);
  }

  /** Makes it the youngest. */
  renew(key: Key, value: Value): void {
    this.#map.delete(key);
    this.#map.set(key, value);
  }

  delete(key: Key): void {
    this.#map.delete(key);
  }

  /** Takes the oldest out; undefined where there is none. */
  takeOldest(): [Key, Value] | undefined {
    let next = this.#cursor.next();
    if (next.done) {
      // It had come to the end once, and stays there.
      this.#cursor = this.#map.entries();
      next = this.#cursor.next();
    }
    if (next.done) return undefined;
    this.#map.delete(next.value[0]);
    return next.value;
  }

  [Symbol.iterator](): IterableIterator<[Key, Value]> {
    return this.#map.entries();
  }
}
