/** The id by which BPF programs know a cgroup. */
import { SystemError } from "../runtime/errors.ts";
import { fileHandle } from "./libc.ts";

/**
 * The id of a cgroup, which is the file handle of its folder in the unified hierarchy.
 *
 * @param path absolute, as in `/sys/fs/cgroup/system.slice/nginx.service`
 * @throws {SystemError}
 */
export function cgroupId(path: string): bigint {
  const handle = fileHandle(path);
  if (handle.length !== 8) throw new SystemError(`use ${path} as a cgroup`, 22, { hint: "it is no cgroup v2 folder" });
  return new DataView(handle.buffer, handle.byteOffset).getBigUint64(0, true);
}
