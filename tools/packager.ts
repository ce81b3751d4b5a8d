/**
 * Prints how ./ebpfmon is to be packed: "deno compile" where its runtime part, denort, can be had (DENORT_BIN, beside
 * the deno binary, Deno's cache, the network), else "self-extracting". The way to know is to compile something.
 */
const TIMEOUT_MS = 60_000;

async function canCompile(): Promise<boolean> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/empty.js`, "");
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "--no-config", "--no-lock", "--output", `${dir}/empty`, `${dir}/empty.js`],
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).output();
    // Any file serves for packing; only one with the runtime part in it then runs its script and succeeds.
    return success && (await new Deno.Command(`${dir}/empty`, { stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

console.log(await canCompile() ? "deno compile" : "self-extracting");
