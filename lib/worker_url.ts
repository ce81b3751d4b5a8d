/** Set by the bundler, whose output holds every module beside main.js. */
declare const EBPFMON_BUNDLED: boolean | undefined;

const BUNDLED = typeof EBPFMON_BUNDLED !== "undefined";

export type WorkerName = "aggregate" | "correlate" | "history" | "pipeline" | "router" | "server" | "simulate";

/** Module of a worker: `lib/NAME/worker.ts` in the source tree, `NAME_worker.js` in the packed program. */
export function workerUrl(name: WorkerName): URL {
  return new URL(BUNDLED ? `./${name}_worker.js` : `./${name}/worker.ts`, import.meta.url);
}

/** Folder with `bpf/*.bpf.o`, `lib/libbpf.so.1` and, packed, `build_info.json`. */
export function assetsDir(): string {
  const url = new URL(BUNDLED ? "." : "../build/app", import.meta.url);
  return decodeURIComponent(url.pathname).replace(/\/$/, "");
}
