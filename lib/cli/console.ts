/** Standard output and error as a command uses them. */

/** Standard output is closed, because the reader of our output has ended, as in `ebpfmon … | head`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const ENCODER = new TextEncoder();

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = ENCODER.encode(text);
  for (let written = 0; written < bytes.length;) written += stream.writeSync(bytes.subarray(written));
}

/**
 * Writes to standard output. @throws {OutputClosed} @throws {Error} when the output takes no more, as on a full disk
 */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed("standard output is closed");
    throw new Error(`Cannot write to standard output: ${(error as Error).message}`, { cause: error });
  }
}

/** Writes a diagnostic to standard error; a closed standard error is no failure. */
export function warn(text: string): void {
  try {
    writeAll(Deno.stderr, text.startsWith("ebpfmon") ? `${text}\n` : `ebpfmon: ${text}\n`);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** The time now in nanoseconds since the epoch, with the resolution of the clock, a millisecond. */
export function unixNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
