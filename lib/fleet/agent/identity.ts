/** The identity of an agent: the same after each start, and different on each host. */
import { createHash } from "node:crypto";
import { readKernelFile } from "../../ffi/libc.ts";

const ID_HEX_DIGITS = 32;
const MACHINE_ID_PATH = "/etc/machine-id";
const STATE_DIRECTORY_DEFAULT = "/var/lib/ebpfmon";

/**
 * The agent's id: a hash of /etc/machine-id, which itself is confidential. Without a machine id it is a random id that
 * is kept in a file.
 *
 * @throws {Error} when the file can be neither read nor written; the message names the file
 */
export function agentId(stateDirectory = Deno.env.get("STATE_DIRECTORY") || STATE_DIRECTORY_DEFAULT): string {
  const machineId = readTrimmed(MACHINE_ID_PATH);
  if (machineId) return createHash("sha256").update(`ebpfmon agent ${machineId}`).digest("hex").slice(0, ID_HEX_DIGITS);
  const path = `${stateDirectory}/agent-id`;
  const kept = readTrimmed(path);
  if (kept && /^[\x21-\x7e]{1,255}$/.test(kept)) return kept;
  const id = crypto.randomUUID().replaceAll("-", "");
  try {
    Deno.mkdirSync(stateDirectory, { recursive: true });
    Deno.writeTextFileSync(path, `${id}\n`, { mode: 0o600 });
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`Cannot keep the agent's name in ${path}: ${why}; give one with --agent-id`, { cause: error });
  }
  return id;
}

/** The id of this boot. Monotonic times of different boots cannot be compared. */
export function bootId(): string {
  return readKernelFile("/proc/sys/kernel/random/boot_id").trim();
}

/** The text of a file without white space at its ends; empty where it cannot be read. */
function readTrimmed(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    return "";
  }
}
