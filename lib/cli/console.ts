/** Standard output and error as a command uses them. */

/** Whoever read our output has gone away, as in `ebpfmon … | head`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const ENCODER = new TextEncoder();

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = ENCODER.encode(text);
  for (let written = 0; written < bytes.length;) written += stream.writeSync(bytes.subarray(written));
}

/** Writes to standard output. @throws {OutputClosed} @throws {Error} when it takes no more, as on a full disk */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed("standard output is closed");
    throw new Error(`Cannot write to standard output: ${(error as Error).message}`, { cause: error });
  }
}

/** Writes a diagnostic to standard error, which nobody has to read. */
export function warn(text: string): void {
  try {
    writeAll(Deno.stderr, text.startsWith("ebpfmon") ? `${text}\n` : `ebpfmon: ${text}\n`);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Now, nanoseconds since the epoch; the clock itself has milliseconds. */
export function unixNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
