/** Decodes captures piece by piece: bytes in, packets out. Only the bytes that are not decoded yet are held. */
import { ByteQueue } from "./byte_queue.ts";
import type { CaptureFrame, RecordReader } from "./capture_frame.ts";
import { isPcap, PcapReader } from "./pcap.ts";
import { PCAPNG_MAGIC, PcapngReader } from "./pcapng.ts";

const MAGIC_BYTES = 4;
const GZIP_MAGIC = [0x1f, 0x8b];

/**
 * Decodes a capture in the pcap or the pcapng format.
 *
 * @example
 * ```ts
 * const decoder = new CaptureDecoder();
 * decoder.push(Deno.readFileSync("some.pcap"));
 * for (let frame; (frame = decoder.next()) !== null;) console.log(frame.timeNs, frame.wireBytes);
 * ```
 */
export class CaptureDecoder {
  readonly #queue = new ByteQueue();
  #reader: RecordReader | null = null;

  /** Takes more bytes of the file. The frame that `next` lent is no longer valid. */
  push(chunk: Uint8Array): void {
    this.#queue.push(chunk);
  }

  /**
   * The next packet, or null until more bytes have come.
   *
   * @throws {Error} when the file has another format, or is malformed
   */
  next(): CaptureFrame | null {
    if (this.#reader === null && this.#queue.available >= MAGIC_BYTES) this.#reader = this.#open();
    return this.#reader?.next(this.#queue) ?? null;
  }

  #open(): RecordReader {
    const magic = this.#queue.u32(0, true);
    if (magic === PCAPNG_MAGIC) return new PcapngReader();
    if (isPcap(magic)) return new PcapReader();
    throw new Error("Cannot read the capture: it is neither pcap nor pcapng");
  }

  /**
   * Ends the file: no more bytes come.
   *
   * @returns what is wrong with the file's end, or null
   * @throws {Error} when the file is too short to be a capture
   */
  end(): string | null {
    const { available, offset, owes } = this.#queue;
    if (this.#reader === null) throw new Error(`Cannot read the capture: it has only ${available} bytes`);
    if (available === 0 && !owes) return null;
    return owes
      ? `the file ends at byte ${offset}, within a block`
      : `the file ends at byte ${offset + available}, within the record that begins at ${offset}`;
  }
}

/**
 * Yields the chunks of a stream.
 *
 * @throws {Error} when the stream fails; the message says that the capture cannot be read
 */
export async function* chunksOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  try {
    yield* stream;
  } catch (error) {
    throw new Error(`Cannot read the capture: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Decompresses a stream that is compressed by gzip; any other stream is passed through.
 *
 * @param signal ends the stream, also while a read waits
 */
export async function gunzipped(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  signal.throwIfAborted();
  const reader = source.getReader();
  // A read that waits then finds the end of the stream.
  signal.addEventListener("abort", () => void reader.cancel().catch(() => {}), { once: true });
  let start = new Uint8Array();
  let done = false;
  while (!done && start.length < GZIP_MAGIC.length) {
    const read = await reader.read();
    done = read.done;
    start = Uint8Array.from([...start, ...read.value ?? []]);
  }
  const whole = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => start.length > 0 ? controller.enqueue(start) : undefined,
    async pull(controller) {
      const read = await reader.read();
      if (read.done) controller.close();
      else controller.enqueue(read.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const isGzip = GZIP_MAGIC.every((byte, i) => start[i] === byte);
  return isGzip ? whole.pipeThrough(new DecompressionStream("gzip")) : whole;
}
