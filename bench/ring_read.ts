/**
 * Bench 4: records a second read in TypeScript, raw and then decoded and counted, over those of a plain C consumer on
 * libbpf that counts by type and severity. One producer on a CPU of its own; readers take turns at its ring.
 */
import { programInfo } from "../lib/ffi/bpf_link.ts";
import { mapId } from "../lib/ffi/bpf_map.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import type { TakeSample } from "../lib/ffi/ring_cursor.ts";
import { RingReader } from "../lib/ffi/ring_reader.ts";
import type { Machine } from "../lib/wire/syscalls.ts";
import { EventDecoder } from "../lib/events/event_decoder.ts";
import type { RouterEvent } from "../lib/events/event.ts";
import { BUILD_DIR, median, outputOf, programPath } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const OBJECT = `${BUILD_DIR}/bpf/ring_read.bpf.o`;
const WAIT_MS = 10;
/** As RECORDS_A_LOOK in bench/ring_read.c. */
const RECORDS_MIN = 1_024;

/** In the order of the program's `enum wake_policy`. */
const POLICIES = ["no wakeups", "watermark", "adaptive"];

/** @returns records a second */
async function read(
  reader: RingReader,
  { spin, roundMs }: { spin: boolean; roundMs: number },
  take: TakeSample,
  afterRead = () => {},
): Promise<number> {
  const start = performance.now();
  const before = reader.stats.consumed;
  // On a busy machine the producer may not have run by then.
  while (performance.now() < start + roundMs || reader.stats.consumed - before < RECORDS_MIN) {
    const records = reader.read(take);
    afterRead();
    if (records === 0 && !spin) await reader.wait(WAIT_MS);
  }
  return (reader.stats.consumed - before) / (performance.now() - start) * 1000;
}

async function benchPolicy(
  run: BenchRun,
  libbpf: Libbpf,
  { elf, peer, policy }: { elf: Uint8Array<ArrayBuffer>; peer: string; policy: number },
): Promise<void> {
  using object = BpfObject.open(libbpf, "ring_read", elf);
  object.initialValue(".rodata").setUint32(0, policy, true);
  object.load();
  const ring = object.map("ring");
  using reader = new RingReader(ring);
  const { id } = programInfo(libbpf, object.programFd("produce"));
  const producer = new Deno.Command(peer, { args: ["produce", String(id)], stdin: "piped" }).spawn();
  const how = { spin: policy === 0, roundMs: run.pick(400, 50) };
  const rates = { peer: [] as number[], raw: [] as number[], decoded: [] as number[] };
  const decoder = new EventDecoder(Deno.build.arch as Machine);
  const counts = new Map<string, number>();
  let takenByPeer = 0;
  let decoded = 0;
  try {
    for (let round = 0; round < run.pick(7, 1); round++) {
      const peerArgs = ["consume", String(mapId(libbpf, ring.fd)), String(how.roundMs), how.spin ? "1" : "0"];
      const [peerRate, peerRecords] = (await outputOf(peer, ...peerArgs)).trim().split(" ").map(Number);
      rates.peer.push(peerRate);
      takenByPeer += peerRecords;
      const consumedBefore = reader.stats.consumed;
      let raw = 0;
      rates.raw.push(await read(reader, how, () => void raw++));
      run.equal("the number of records that were read", raw, reader.stats.consumed - consumedBefore);
      let events: RouterEvent[] = [];
      const take: TakeSample = (data, offset, lengthBytes) => {
        const event = decoder.decode(data, offset, lengthBytes);
        if (event === null) throw new Error("Cannot decode a record of the bench");
        events.push(event);
      };
      const count = () => {
        for (const { event, severity, weight, repeats } of events) {
          const key = `${event} ${severity}`;
          counts.set(key, (counts.get(key) ?? 0) + weight * repeats);
        }
        events = [];
      };
      const decodedBefore = reader.stats.consumed;
      rates.decoded.push(await read(reader, how, take, count));
      decoded += reader.stats.consumed - decodedBefore;
    }
  } finally {
    await producer.stdin.close();
    await producer.status;
  }
  while (reader.read(() => {}) > 0);
  using globals = object.map(".bss").map({ writable: false });
  const submitted = Number(new DataView(globals.buffer).getBigUint64(0, true));
  run.equal("the number of records that C and TypeScript took", takenByPeer + reader.stats.consumed, submitted);
  run.equal("the number of records that were decoded", [...counts.values()].reduce((sum, it) => sum + it), decoded);
  run.equal("the kinds of events that were decoded", [...counts.keys()].join(), "file_open debug");
  const c = median(rates.peer);
  const rate = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} (ratio ${(perSecond / c).toFixed(2)})`;
  run.report(
    `   ${POLICIES[policy].padEnd(10)} C ${(c / 1e6).toFixed(2)}, raw ${rate(median(rates.raw))}, ` +
      `decoded and counted ${rate(median(rates.decoded))}`,
  );
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\n4. Records read from a ring (M/s; ratio = TypeScript / C)");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const peer = programPath("ring_read");
  const elf = await Deno.readFile(OBJECT);
  // The thread that reads; those that collect its garbage go where the kernel likes.
  const stayOn = (cpus: string) => outputOf("taskset", "-cp", cpus, String(Deno.pid));
  await stayOn("0");
  for (let policy = 0; policy < POLICIES.length; policy++) await benchPolicy(run, libbpf, { elf, peer, policy });
  await stayOn(`0-${navigator.hardwareConcurrency - 1}`);
}
