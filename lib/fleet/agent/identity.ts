/** Under which name an agent sends: the same after each start, and on no other host. */
import { createHash } from "node:crypto";
import { readKernelFile } from "../../ffi/libc.ts";

const ID_HEX_DIGITS = 32;
const MACHINE_ID_PATH = "/etc/machine-id";
const STATE_DIRECTORY_DEFAULT = "/var/lib/ebpfmon";

/**
 * Of /etc/machine-id, which itself is nobody else's business; without one, a random name that is kept in a file.
 *
 * @throws {Error} when neither can be had: names the file
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

/** Of this boot: monotonic times of two boots do not compare. */
export function bootId(): string {
  return readKernelFile("/proc/sys/kernel/random/boot_id").trim();
}

/** Empty where there is nothing. */
function readTrimmed(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    return "";
  }
}
