/**
 * Paths of cgroups by id. A large tree of cgroups takes seconds to walk, so the walk goes on in slices: its callers
 * have events waiting.
 */

/** The most cgroups that are kept; others stay unknown. */
const CGROUPS_MAX = 100_000;
/** The least time between two walks, since looking for a cgroup that is gone would otherwise walk all the time. */
const REST_NS = 1e9;
/** A walk takes at most one part in this many of the time in which it is asked. */
const SHARE = 5;
const NS_PER_MS = 1e6;

export interface CgroupWalkOptions {
  /** The id of the root, which is in no folder. */
  rootId: bigint;
  /** Lists a folder by its path below the root; empty where the folder is gone. A folder's inode is its cgroup's id. */
  list(path: string): Iterable<{ name: string; inode: bigint; isFolder: boolean }>;
  /** Any monotonic clock. */
  nowNs(): number;
  /** The length of a slice. A slice ends after the folder that it is listing then. */
  sliceMs: number;
}

export class CgroupWalk {
  readonly #options: CgroupWalkOptions;
  /** Paths from the last complete walk. */
  #known: ReadonlyMap<bigint, string>;
  /** Paths from the walk under way, and the folders that it still has to list; the root's path is empty. */
  #found = new Map<bigint, string>();
  #folders: string[] = [];
  /** The time of the next slice, or of the next walk. */
  #nextNs = 0;

  constructor(options: CgroupWalkOptions) {
    this.#options = options;
    this.#known = new Map([[options.rootId, "/"]]);
  }

  /**
   * The path of a cgroup; walks for a slice where one is due.
   *
   * @returns null for a cgroup that does not exist, undefined while that is not known
   */
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
