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
import { BUILD_DIR, compileC, median, run } from "./support.ts";

const OBJECT = `${BUILD_DIR}/bpf/ring_read.bpf.o`;
const ROUNDS = 7;
const ROUND_MS = 400;
const WAIT_MS = 10;

/** In the order of the program's `enum wake_policy`. */
const POLICIES = ["no wakeups", "watermark", "adaptive"];

/** @returns records a second */
async function read(reader: RingReader, spin: boolean, take: TakeSample, afterRead = () => {}): Promise<number> {
  const start = performance.now();
  const before = reader.stats.consumed;
  while (performance.now() < start + ROUND_MS) {
    const records = reader.read(take);
    afterRead();
    if (records === 0 && !spin) await reader.wait(WAIT_MS);
  }
  return (reader.stats.consumed - before) / (performance.now() - start) * 1000;
}

async function benchPolicy(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, peer: string, policy: number): Promise<void> {
  using object = BpfObject.open(libbpf, "ring_read", elf);
  object.initialValue(".rodata").setUint32(0, policy, true);
  object.load();
  const ring = object.map("ring");
  using reader = new RingReader(ring);
  const { id } = programInfo(libbpf, object.programFd("produce"));
  const producer = new Deno.Command(peer, { args: ["produce", String(id)], stdin: "piped" }).spawn();
  const spin = policy === 0;
  const rates = { peer: [] as number[], raw: [] as number[], decoded: [] as number[] };
  const decoder = new EventDecoder(Deno.build.arch as Machine);
  const counts = new Map<string, number>();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const peerArgs = ["consume", String(mapId(libbpf, ring.fd)), String(ROUND_MS), spin ? "1" : "0"];
      rates.peer.push(Number(await run(peer, ...peerArgs)));
      rates.raw.push(await read(reader, spin, () => {}));
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
      rates.decoded.push(await read(reader, spin, take, count));
    }
  } finally {
    await producer.stdin.close();
    await producer.status;
  }
  const c = median(rates.peer);
  const rate = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} (ratio ${(perSecond / c).toFixed(2)})`;
  const [raw, decoded] = [rate(median(rates.raw)), rate(median(rates.decoded))];
  console.log(
    `   ${POLICIES[policy].padEnd(10)} C ${(c / 1e6).toFixed(2)}, raw ${raw}, decoded and counted ${decoded}`,
  );
}

export async function benchRingRead(): Promise<void> {
  console.log("\n4. Records read from a ring (M/s; ratio = TypeScript / C)");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const peer = await compileC("ring_read");
  const elf = await Deno.readFile(OBJECT);
  // The thread that reads; those that collect its garbage go where the kernel likes.
  const stayOn = (cpus: string) => run("taskset", "-cp", cpus, String(Deno.pid));
  await stayOn("0");
  for (let policy = 0; policy < POLICIES.length; policy++) await benchPolicy(libbpf, elf, peer, policy);
  await stayOn(`0-${navigator.hardwareConcurrency - 1}`);
}

if (import.meta.main) await benchRingRead();
