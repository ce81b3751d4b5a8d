/**
 * Paths of cgroups by id, found by walking their tree a little at a time: a large one takes seconds, and whoever asks has
 * events waiting.
 */

/** A tree has fewer; what it holds beyond that stays unknown. */
const CGROUPS_MAX = 100_000;
/** From the end of a walk to the next one: a cgroup that is gone is not found by walking. */
const REST_NS = 1e9;
/** Of the time in which it is asked, a walk takes one part in so many at most. */
const SHARE = 5;
const NS_PER_MS = 1e6;

export interface CgroupWalkOptions {
  /** Of the root, which is no folder's entry. */
  rootId: bigint;
  /** What is in a folder, by its path below the root; nothing where it is gone. A folder's inode is its cgroup's id. */
  list(path: string): Iterable<{ name: string; inode: bigint; isFolder: boolean }>;
  /** Any clock that goes forward. */
  nowNs(): number;
  /** After so long a walk lets others go on, when the folder that it is at has been listed. */
  sliceMs: number;
}

export class CgroupWalk {
  readonly #options: CgroupWalkOptions;
  /** From the last whole walk. */
  #known: ReadonlyMap<bigint, string>;
  /** From the one under way, and folders that are still to be listed; the root's path is empty. */
  #found = new Map<bigint, string>();
  #folders: string[] = [];
  /** No slice, and no new walk, before this. */
  #nextNs = 0;

  constructor(options: CgroupWalkOptions) {
    this.#options = options;
    this.#known = new Map([[options.rootId, "/"]]);
  }

  /** Walks on for a slice where it is due. @returns null for one that is not there, undefined while that is not known */
  pathOf(id: bigint): string | null | undefined {
    const path = this.#known.get(id) ?? this.#found.get(id);
    if (path !== undefined) return path;
    if (this.#options.nowNs() >= this.#nextNs) this.#walk();
    return this.#known.get(id) ?? this.#found.get(id) ?? (this.#folders.length > 0 ? undefined : null);
  }

  #walk(): void {
    const { rootId, list, nowNs, sliceMs } = this.#options;
    const startNs = nowNs();
    if (this.#folders.length === 0) {
      this.#found = new Map([[rootId, "/"]]);
      this.#folders = [""];
    }
    let endNs = startNs;
    for (let path = this.#folders.pop(); path !== undefined; path = this.#folders.pop()) {
      for (const { name, inode, isFolder } of list(path)) {
        if (!isFolder || this.#found.size >= CGROUPS_MAX) continue;
        this.#found.set(inode, `${path}/${name}`);
        this.#folders.push(`${path}/${name}`);
      }
      endNs = nowNs();
      if (endNs - startNs >= sliceMs * NS_PER_MS) break;
    }
    if (this.#folders.length > 0) {
      this.#nextNs = endNs + (SHARE - 1) * (endNs - startNs);
      return;
    }
    this.#known = this.#found;
    this.#found = new Map();
    this.#nextNs = endNs + REST_NS;
  }
}
