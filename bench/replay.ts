/**
 * Packets a second through `replay`, against tshark's conversations and nfpcapd, all of them over one capture that was
 * just written and is in the page cache, each as a process of its own. nfpcapd parses in C and never enters the kernel; the others are here to say
 * what an analyst would wait.
 */
import { benchFrame, median, run } from "./support.ts";

const FRAMES = 500_000;
const FLOWS = 1_000;
const ROUNDS = 3;
/** Kept of each frame and on the wire: as tcpdump -s 128 has them. */
const KEPT_BYTES = 128;
const WIRE_BYTES = 600;
const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const RECORD_BYTES = 16 + KEPT_BYTES;
const FRAMES_A_SECOND = 100_000;

/** UDP and TCP frames of FLOWS flows, one after another. */
function benchCapture(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(24 + FRAMES * RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  [MAGIC_MICROSECONDS, 2 | 4 << 16, 0, 0, KEPT_BYTES, 1].forEach((word, i) => view.setUint32(i * 4, word, true));
  const frames = [benchFrame("udp"), benchFrame("tcp")];
  for (let i = 0; i < FRAMES; i++) {
    const at = 24 + i * RECORD_BYTES;
    const seconds = Math.floor(i / FRAMES_A_SECOND);
    const microseconds = (i % FRAMES_A_SECOND) * (1_000_000 / FRAMES_A_SECOND);
    [1_700_000_000 + seconds, microseconds, KEPT_BYTES, WIRE_BYTES].forEach((word, j) =>
      view.setUint32(at + j * 4, word, true)
    );
    bytes.set(frames[i & 1], at + 16);
    view.setUint16(at + 16 + 16, WIRE_BYTES - 14);
    // A datagram as long as the packet.
    if ((i & 1) === 0) view.setUint16(at + 16 + 38, WIRE_BYTES - 34);
    view.setUint16(at + 16 + 34, 1024 + i % FLOWS);
  }
  return bytes;
}

async function secondsOf(command: string, args: string[]): Promise<number> {
  const before = performance.now();
  await run(command, ...args);
  return (performance.now() - before) / 1000;
}

export async function benchReplay(): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/bench.pcap`;
    await Deno.writeFile(file, benchCapture());
    const contenders: [name: string, command: string, args: string[]][] = [
      ["ebpfmon replay", "./ebpfmon", ["replay", file, "--json"]],
      ["tshark -z conv", "tshark", ["-r", file, "-n", "-q", "-z", "conv,udp", "-z", "conv,tcp"]],
      ["nfpcapd", "nfpcapd", ["-r", file, "-w", dir]],
    ];
    const seconds = contenders.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, [, command, args]] of contenders.entries()) seconds[i].push(await secondsOf(command, args));
    }
    console.log(`\nReplay of ${FRAMES} frames in ${FLOWS} flows, start included`);
    const baseline = median(seconds[0]);
    contenders.forEach(([name], i) => {
      const took = median(seconds[i]);
      console.log(
        `${name.padEnd(16)} ${Math.round(FRAMES / took).toLocaleString("en").padStart(12)} packets/s ` +
          `(${(baseline / took).toFixed(2)} of replay's)`,
      );
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) await benchReplay();
