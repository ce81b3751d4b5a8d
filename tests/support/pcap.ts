/** Captures: tcpdump in a test's namespace, and the classic pcap format that it writes. */
import { ENDS, type NetSide, type TestNet } from "./namespaces.ts";

export interface CapturedFrame {
  /** What was kept of the frame. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The frame's length on the wire. */
  lengthBytes: number;
}

const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET = 1;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** @throws {TypeError} for another format or link type, or a record that is cut off */
export function readPcap(file: Uint8Array<ArrayBuffer>): CapturedFrame[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const little = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS].includes(view.getUint32(0, true));
  if (!little && ![MAGIC_MICROSECONDS, MAGIC_NANOSECONDS].includes(view.getUint32(0))) {
    throw new TypeError("Cannot read a capture: it is not in the pcap format");
  }
  if (view.getUint32(20, little) !== LINKTYPE_ETHERNET) throw new TypeError("Cannot read a capture: not Ethernet");
  const frames: CapturedFrame[] = [];
  for (let at = FILE_HEADER_BYTES; at < file.length;) {
    const keptBytes = view.getUint32(at + 8, little);
    const lengthBytes = view.getUint32(at + 12, little);
    at += RECORD_HEADER_BYTES;
    if (at + keptBytes > file.length) throw new TypeError("Cannot read a capture: its last record is cut off");
    frames.push({ bytes: file.slice(at, at + keptBytes), lengthBytes });
    at += keptBytes;
  }
  return frames;
}

/** tcpdump on one end of a test net. */
export class Capture {
  readonly #child: Deno.ChildProcess;
  readonly #file: Promise<ArrayBuffer>;
  readonly #messages: ReadableStreamDefaultReader<string>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#file = new Response(child.stdout).arrayBuffer();
    this.#messages = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Returns once tcpdump listens. */
  static async start(net: TestNet, side: NetSide): Promise<Capture> {
    // deno-fmt-ignore
    const args = ["-i", ENDS[side].iface, "-n", "-U", "--immediate-mode", "-s", "0", "-B", "131072", "-w", "-"];
    const capture = new Capture(net.spawn(side, "tcpdump", args));
    let said = "";
    while (!said.includes("listening on")) {
      const { value, done } = await capture.#messages.read();
      if (done) throw new Error(`Cannot capture: ${said.trim()}`);
      said += value;
    }
    return capture;
  }

  /** Ends tcpdump. @throws when it lost frames */
  async stop(): Promise<CapturedFrame[]> {
    this.#child.kill("SIGINT");
    let said = "";
    for (;;) {
      const { value, done } = await this.#messages.read();
      if (done) break;
      said += value;
    }
    const file = new Uint8Array(await this.#file);
    const { code, signal } = await this.#child.status;
    if (!/^0 packets dropped by kernel/m.test(said)) {
      throw new Error(`Cannot trust the capture: ${said.trim()}; tcpdump ended with ${signal ?? code}`);
    }
    return readPcap(file);
  }
}
