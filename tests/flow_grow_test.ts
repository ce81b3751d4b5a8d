/** Flow maps that grow from one window to the next, while packets are counted. */
import { assertEquals, assertGreater, assertRejects, assertThrows } from "./assert.ts";
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { ASSETS_DIR, loadFlowProbe, openSystemLibbpf, takeWindow } from "./support/bpf.ts";

const SMALL = 128;
const FLOWS = 1_000;

/** A UDP frame of 64 bytes that belongs to flow `n`. */
function frameOf(n: number): Uint8Array<ArrayBuffer> {
  const frame = new DataView(new ArrayBuffer(64));
  frame.setUint16(12, 0x0800);
  frame.setUint8(14, 0x45);
  frame.setUint16(16, 50);
  frame.setUint8(23, 17);
  frame.setUint32(26, 0x0a000000 + n);
  frame.setUint32(30, 0x0a010001);
  return new Uint8Array(frame.buffer);
}

Deno.test("FlowProbe.resizeSpare() makes the maps larger from the next swap on, and no packet is lost", async () => {
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf, { flowsMax: SMALL });
  const count = () => {
    for (let n = 0; n < FLOWS; n++) testRun(libbpf, probe.programFd("ingress_xdp"), frameOf(n));
    const { seen, flows, overflow } = takeWindow(probe);
    assertEquals(seen.packets, FLOWS);
    assertEquals(flows.packets + overflow.packets, FLOWS);
    return overflow.packets;
  };
  assertEquals(probe.capacity, 2 * SMALL);
  assertGreater(count(), 0);
  await probe.resizeSpare({ v4: 4 * FLOWS, v6: 4 * FLOWS });
  assertEquals([probe.capacityOf(0), probe.capacityOf(1)], [8 * FLOWS, 2 * SMALL]);
  // The window under way has the small maps still, the next one has not.
  assertGreater(count(), 0);
  assertEquals(probe.capacity, 8 * FLOWS);
  assertEquals(count(), 0);
  assertGreater(count(), 0);
  await probe.resizeSpare({ v4: 4 * FLOWS, v6: 4 * FLOWS });
  await probe.resizeSpare({ v4: 4 * FLOWS, v6: 4 * FLOWS });
  count();
  assertEquals([probe.capacityOf(0), probe.capacityOf(1)], [8 * FLOWS, 8 * FLOWS]);
  assertEquals([count(), count(), count()], [0, 0, 0]);
});

Deno.test("FlowProbe.resizeSpare() that fails leaves the maps as they are", async () => {
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf, { flowsMax: SMALL });
  await assertRejects(() => probe.resizeSpare({ v4: 2 ** 32 - 1, v6: SMALL }), Error, "Cannot create map");
  assertEquals([probe.capacityOf(0), probe.capacityOf(1)], [2 * SMALL, 2 * SMALL]);
  testRun(libbpf, probe.programFd("ingress_xdp"), frameOf(1));
  assertEquals(takeWindow(probe).flows.packets, 1);
});

Deno.test("FlowProbe needs its spare maps before it grows or swaps them", async () => {
  using libbpf = openSystemLibbpf();
  const elf = Deno.readFileSync(`${ASSETS_DIR}/bpf/flow.bpf.o`);
  const options = { flowsMax: SMALL, values: "atomic" } as const;
  using probe = FlowProbe.create(libbpf, elf, [{ name: "lo", ifindex: 1 }], options);
  assertThrows(() => probe.swap(), Error, "they are not prepared");
  await assertRejects(() => probe.resizeSpare({ v4: 2 * SMALL, v6: SMALL }), Error, "they are not prepared");
  await probe.prepareSpare();
  assertEquals(probe.swap().side, 0);
});

Deno.test("FlowProbe.resizeSpare() makes maps smaller too, and each family's on its own", async () => {
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf, { flowsMax: 4 * FLOWS });
  await probe.resizeSpare({ v4: SMALL, v6: 4 * FLOWS });
  assertEquals([probe.flowsMaxOf(0), probe.flowsMaxOf(1)], [
    { v4: 4 * FLOWS, v6: 4 * FLOWS },
    { v4: SMALL, v6: 4 * FLOWS },
  ]);
  probe.swap();
  for (let n = 0; n < FLOWS; n++) testRun(libbpf, probe.programFd("ingress_xdp"), frameOf(n));
  const { side } = probe.swap();
  let entries = 0;
  const drained = probe.drain(side, (_family, { count }) => entries += count);
  assertEquals(drained, {
    v4: { entries: SMALL, entriesMax: SMALL, overflowed: true },
    v6: { entries: 0, entriesMax: 4 * FLOWS, overflowed: false },
  });
  assertEquals(entries, SMALL);
  // A side that is drained takes flows again.
  probe.swap();
  testRun(libbpf, probe.programFd("ingress_xdp"), frameOf(1));
  assertEquals(takeWindow(probe).flows.packets, 1);
});
