/** What this program was built from, and how it is packed. */
import { assetsDir } from "../runtime/worker_url.ts";

export interface BuildInfo {
  version: string;
  commit: string;
  /** `deno compile` or `self-extracting`; `source` when run from the tree. */
  packaging: string;
  deno: string;
  /** Version of the embedded libbpf. */
  libbpf: string;
}

export function buildInfo(): BuildInfo {
  let text: string;
  try {
    text = Deno.readTextFileSync(`${assetsDir()}/build_info.json`);
  } catch {
    return { version: "0.0.0", commit: "unknown", packaging: "source", deno: Deno.version.deno, libbpf: "none" };
  }
  return JSON.parse(text);
}
