/**
 * Packets a second through `replay`, against tshark's conversations and nfpcapd, all of them over one capture that was
 * just written and is in the page cache, each as a process of its own. nfpcapd parses in C and never enters the kernel; the others are here to say
 * what an analyst would wait.
 */
import { benchFrame, median, outputOf } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const FLOWS = 1_000;
/** Kept of each frame and on the wire: as tcpdump -s 128 has them. */
const KEPT_BYTES = 128;
const WIRE_BYTES = 600;
const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const RECORD_BYTES = 16 + KEPT_BYTES;
const FRAMES_A_SECOND = 100_000;

/** UDP and TCP frames of FLOWS flows, one after another. */
function benchCapture(frameCount: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(24 + frameCount * RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  [MAGIC_MICROSECONDS, 2 | 4 << 16, 0, 0, KEPT_BYTES, 1].forEach((word, i) => view.setUint32(i * 4, word, true));
  const frames = [benchFrame("udp"), benchFrame("tcp")];
  for (let i = 0; i < frameCount; i++) {
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

interface Contender {
  name: string;
  command: string;
  args: string[];
  /** Frames that it counted, from what it printed and the files that it wrote. */
  frames(printed: string): number | Promise<number>;
}

/** @param dir where the capture is and contenders may write */
function contenders(file: string, dir: string): Contender[] {
  const sum = (counts: Iterable<string | number>) => Array.from(counts, Number).reduce((sum, it) => sum + it, 0);
  return [
    {
      name: "ebpfmon replay",
      command: "./ebpfmon",
      args: ["replay", file, "--json"],
      frames: (printed) => JSON.parse(printed.trimEnd().split("\n").at(-1)!).packets,
    },
    {
      name: "tshark -z conv",
      command: "tshark",
      args: ["-r", file, "-n", "-q", "-z", "conv,udp", "-z", "conv,tcp"],
      // Address and port, <->, address and port, then frames and bytes of each way and of both.
      frames: (printed) => sum(Array.from(printed.matchAll(/<->(?:\s+\S+){7}\s+(\d+)/g), ([, frames]) => frames)),
    },
    {
      name: "nfpcapd",
      command: "nfpcapd",
      args: ["-r", file, "-w", dir],
      frames: async () => sum((await outputOf("nfdump", "-R", dir, "-q", "-N", "-o", "fmt:%pkt")).trim().split("\n")),
    },
  ];
}

export async function bench(run: BenchRun): Promise<void> {
  const frameCount = run.pick(500_000, 10_000);
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/bench.pcap`;
    await Deno.writeFile(file, benchCapture(frameCount));
    const seconds = new Map<string, number[]>();
    for (let round = 0; round < run.pick(3, 1); round++) {
      const flowDir = `${dir}/flows${round}`;
      await Deno.mkdir(flowDir);
      for (const { name, command, args, frames } of contenders(file, flowDir)) {
        const before = performance.now();
        const printed = await outputOf(command, ...args);
        seconds.set(name, [...seconds.get(name) ?? [], (performance.now() - before) / 1000]);
        run.equal(`the number of frames that ${name} counted`, await frames(printed), frameCount);
      }
    }
    run.report(`\nReplay of ${frameCount} frames in ${FLOWS} flows, start included`);
    const baseline = median([...seconds.values()][0]);
    for (const [name, all] of seconds) {
      const took = median(all);
      run.report(
        `${name.padEnd(16)} ${Math.round(frameCount / took).toLocaleString("en").padStart(12)} packets/s ` +
          `(${(baseline / took).toFixed(2)} of replay's)`,
      );
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
