/**
 * Counts by category in a BPF hash map, for other tools to read: `bpftool map dump name ebpfmon_counts`. A key is a
 * 32-bit index in CATEGORIES, or TOTAL_KEY for the sum of all; a value is a 64-bit count of events.
 */
import { BpfMap, MapType } from "../ffi/bpf_map.ts";
import { requireCapabilities } from "../ffi/capabilities.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { MapEntries, type MapEntryReference } from "../ffi/map_entry.ts";
import { CATEGORIES } from "../events/types/category.ts";

export const COUNTS_MAP = "ebpfmon_counts";
export const TOTAL_KEY = 255;

export class CountsMap implements Disposable {
  readonly #owned: DisposableStack;
  /** In the order of CATEGORIES. */
  readonly #categories: MapEntryReference[];
  readonly #total: MapEntryReference;

  /** @throws {SystemError | PrivilegeError | UnsupportedError} */
  constructor(assetsDir: string) {
    // A PrivilegeError ends the run at once. The errno of a refused call would only restart the worker.
    requireCapabilities("keep counts for other tools");
    using stack = new DisposableStack();
    const libbpf = stack.use(openLibbpf({ embeddedDir: `${assetsDir}/lib` }));
    const spec = {
      name: COUNTS_MAP,
      type: MapType.hash,
      keyBytes: 4,
      valueBytes: 8,
      entriesMax: CATEGORIES.length + 1,
    };
    const map = stack.use(BpfMap.create(libbpf, spec));
    const entries = stack.use(new MapEntries(libbpf, Deno.readFileSync(`${assetsDir}/bpf/map_entry.bpf.o`), map));
    const at = (key: number) => entries.at(new Uint8Array(Uint32Array.of(key).buffer));
    this.#categories = CATEGORIES.map((_, i) => at(i));
    this.#total = at(TOTAL_KEY);
    this.#owned = stack.move();
  }

  /** @param counts events to add, in the order of CATEGORIES */
  add(counts: ArrayLike<number>): void {
    let total = 0;
    this.#categories.forEach((entry, i) => {
      if (counts[i] > 0) entry.add(BigInt(counts[i]));
      total += counts[i];
    });
    if (total > 0) this.#total.add(BigInt(total));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
