/**
 * Fetches the libbpf of `--libbpf-url` and caches it, by @denosaurs/plug. That package is loaded only when the flag is
 * given, because its registry may be out of reach.
 */
import { PrivilegeError, UnsupportedError } from "../runtime/errors.ts";

/** A literal in `import()` would make builds, checks and tests fetch the package. */
const PLUG = "jsr:@denosaurs/plug@1.1.0";

interface Plug {
  download(options: { url: string; cache: "use" }): Promise<string>;
}

/**
 * @param url empty for none
 * @returns path of the cached library; undefined for none
 * @throws {PrivilegeError} unless root asks: a program with file capabilities must not load whatever its user names
 * @throws {UnsupportedError} when the package or the library cannot be fetched
 */
export async function downloadLibbpf(url: string): Promise<string | undefined> {
  if (url === "") return undefined;
  if (Deno.uid() !== 0) throw new PrivilegeError(`Cannot use the libbpf from ${url}: only root may choose one`);
  let plug: Plug;
  try {
    plug = await import(PLUG);
  } catch (cause) {
    const remedy =
      "the machine must reach the JSR registry; without --libbpf-url the system's or the embedded one is used";
    throw new UnsupportedError(`Cannot fetch libbpf from ${url}: @denosaurs/plug is out of reach; ${remedy}`, {
      cause,
    });
  }
  try {
    return await plug.download({ url, cache: "use" });
  } catch (cause) {
    throw new UnsupportedError(`Cannot fetch libbpf from ${url}: ${(cause as Error).message}`, { cause });
  }
}
