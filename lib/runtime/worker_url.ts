/** Defined by the bundler, which puts every module beside main.js. */
declare const EBPFMON_BUNDLED: boolean | undefined;

const BUNDLED = typeof EBPFMON_BUNDLED !== "undefined";

/** The folder below `lib/` of each worker's module, `worker.ts`. The bundler makes a module of each. */
export const WORKER_FOLDERS = {
  aggregate: "aggregate",
  correlate: "fleet/correlation",
  history: "history",
  pipeline: "pipeline",
  router: "router",
  server: "fleet/server",
  simulate: "simulate",
} as const;

export type WorkerName = keyof typeof WORKER_FOLDERS;

/** Module of a worker: `lib/FOLDER/worker.ts` in the source tree, `NAME_worker.js` in the packed program. */
export function workerUrl(name: WorkerName): URL {
  return new URL(BUNDLED ? `./${name}_worker.js` : `../${WORKER_FOLDERS[name]}/worker.ts`, import.meta.url);
}

/** Folder with `bpf/*.bpf.o`, `lib/libbpf.so.1` and, packed, `build_info.json`. */
export function assetsDir(): string {
  const url = new URL(BUNDLED ? "." : "../../build/app", import.meta.url);
  return decodeURIComponent(url.pathname).replace(/\/$/, "");
}
