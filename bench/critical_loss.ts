/**
 * Bench 7: critical events lost in a flood of opens: ebpfmon, and the same programs with one ring, of the size of the
 * three together, in the place of all of them.
 */
import { LibbpfLink } from "../lib/ffi/bpf_link.ts";
import { BpfMap, MapType } from "../lib/ffi/bpf_map.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { writeField } from "../lib/wire/layout.ts";
import { ROUTER_PROGRAM, ROUTER_RODATA } from "../lib/wire/layouts.gen.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { RingReader } from "../lib/ffi/ring_reader.ts";
import { ringSizeBytes } from "../lib/router/router_rings.ts";
import type { Machine } from "../lib/wire/syscalls.ts";
import { syscallRules } from "../lib/router/syscall_rules.ts";
import { EventDecoder } from "../lib/events/event_decoder.ts";
import type { RouterEvent } from "../lib/events/event.ts";
import { isOfLoad, type Load, routeLoad, runLoad, SEND_ALL } from "./critical_load.ts";
import type { BenchRun } from "./bench_run.ts";

const PROGRAM = "syscall_exit";
const OBJECT = "build/bpf/router.bpf.o";
const WAIT_MS = 100;

/** What `routeLoad` does, with one ring for all. */
async function shareLoad(load: Load, take: (events: RouterEvent[]) => void): Promise<number> {
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  using object = BpfObject.open(libbpf, "router", await Deno.readFile(OBJECT));
  for (const name of object.programNames()) object.setAutoload(name, name === PROGRAM);
  const machine = Deno.build.arch as Machine;
  const cpus = libbpf.symbols.libbpf_num_possible_cpus();
  const rodata = object.initialValue(".rodata");
  writeField(rodata, ROUTER_RODATA, "cpus", cpus);
  writeField(rodata, ROUTER_RODATA, "syscall_rules", syscallRules(machine, SEND_ALL.sources));
  writeField(rodata, ROUTER_RODATA, "hold_repeats", false);
  object.setMaxEntries("counters", ROUTER_PROGRAM.ROUTER_PROGRAMS * cpus);
  object.load();
  const entriesMax = ringSizeBytes(Object.values(SEND_ALL.ringBytes).reduce((sum, bytes) => sum + bytes));
  const spec = { name: "ring_shared", type: MapType.ringbuf, keyBytes: 0, valueBytes: 0, entriesMax };
  using ring = BpfMap.create(libbpf, spec);
  const rings = object.map("rings");
  for (let i = 0; i < rings.spec.entriesMax; i++) rings.putInner(i, ring);
  using reader = new RingReader(ring);
  const decoder = new EventDecoder(machine);
  const read = () => {
    const events: RouterEvent[] = [];
    reader.read((data, offset, lengthBytes) => {
      const event = decoder.decode(data, offset, lengthBytes);
      if (event !== null) events.push(event);
    });
    take(events);
  };
  using _link = new LibbpfLink(libbpf, object.programPointer(PROGRAM), PROGRAM);
  let running = true;
  const opensPerSecond = runLoad(load).finally(() => running = false);
  while (running) {
    await reader.wait(WAIT_MS);
    read();
  }
  read();
  return await opensPerSecond;
}

export async function bench(run: BenchRun): Promise<void> {
  const rounds = run.pick(3, 1);
  const load: Load = {
    count: run.pick(10_000, 100),
    pauseUs: 100,
    // Without a flood neither may lose any.
    flooders: run.pick(navigator.hardwareConcurrency, 0),
  };
  run.report(`\n7. Critical events lost of ${rounds * load.count}, ${load.flooders} processes flooding`);
  const tools = [{ name: "ebpfmon", run: routeLoad }, { name: "one shared ring", run: shareLoad }]
    .map((tool) => ({ ...tool, critical: 0, opensPerSecond: 0 }));
  for (let round = 0; round < rounds; round++) {
    for (const tool of tools) {
      tool.opensPerSecond += await tool.run(load, (events) => tool.critical += events.filter(isOfLoad).length);
    }
  }
  for (const { name, critical, opensPerSecond } of tools) {
    const lost = rounds * load.count - critical;
    if (run.isCheck) run.equal(`the number of critical events that ${name} lost`, lost, 0);
    const flood = (opensPerSecond / rounds / 1e6).toFixed(2);
    run.report(`   ${name.padEnd(16)} ${lost}, ${flood} M opens/s`);
  }
}
