/** Captures through the flow program by BPF_PROG_TEST_RUN: against tshark, against the oracle, on their own time line. */
import { EINTR } from "../lib/runtime/errors.ts";
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { FlowReducer } from "../lib/aggregate/flows/flow_reducer.ts";
import type { FlowWindow } from "../lib/aggregate/windows/flow_window.ts";
import { replayCapture } from "../lib/replay/replay.ts";
import { ReplayedWindows } from "../lib/replay/replayed_windows.ts";
import { ASSETS_DIR, loadFlowProbe, openSystemLibbpf, takeWindow } from "./support/bpf.ts";
import {
  EPOCH_NS,
  everyMs,
  ledgerOf,
  replayBytes,
  replayedConversations,
  tsharkConversations,
  unaccounted,
  writePcap,
} from "./support/captures.ts";
import {
  authentication,
  type Bytes,
  concat,
  ethernet,
  ETHERTYPE,
  extension,
  filler,
  fragment6,
  icmp,
  ipv4,
  ipv6,
  PROTO,
  sampleFrames,
  sctp,
  tcp,
  udp,
} from "./support/frames.ts";
import { delay } from "../lib/runtime/timers.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";
import { addTo, classify, differences, enterFrame, type Ledger, ledgerKey } from "./support/oracle.ts";

const { vlan, qinq } = ETHERTYPE;
/** A chunk that tshark takes: COOKIE ACK. */
const SCTP_CHUNK = [11, 0, 0, 4];

async function withFile<T>(content: Bytes, use: (file: string) => Promise<T>): Promise<T> {
  const file = await Deno.makeTempFile({ suffix: ".pcap" });
  try {
    await Deno.writeFile(file, content);
    return await use(file);
  } finally {
    await Deno.remove(file);
  }
}

/** Frames of flows in both directions: fragments, VLAN in VLAN, IPv6 extension chains, SCTP, options. */
function trickyFrames(): Bytes[] {
  const { udp: UDP, tcp: TCP, sctp: SCTP, fragment, hopByHop, destination, routing, ah, icmp: ICMP } = PROTO;
  const v4 = (proto: number, payload: Bytes, options = {}, tags: number[] = []) =>
    ethernet(ETHERTYPE.ipv4, ipv4(proto, payload, options), { tags });
  const v6 = (next: number, payload: Bytes, options = {}, tags: number[] = []) =>
    ethernet(ETHERTYPE.ipv6, ipv6(next, payload, options), { tags });
  const back4 = { src: "198.51.100.2", dst: "192.0.2.1" };
  const back6 = { src: "2001:db8:1::2", dst: "2001:db8::1" };
  const chain = (payload: Bytes, next: number) =>
    extension(destination, extension(routing, extension(ah, authentication(next, payload)), 2), 1);
  return [
    v4(UDP, udp(filler(30), 1000, 2000)),
    v4(UDP, udp(filler(300), 2000, 1000), back4, [vlan]),
    v4(UDP, udp(filler(7), 1000, 2000), {}, [qinq, vlan]),
    v4(UDP, udp(filler(1200), 1000, 2000), { options: filler(0), dontFragment: true }, [vlan, vlan]),
    v4(UDP, udp(filler(16), 1001, 2000), { moreFragments: true }),
    v4(UDP, filler(24), { fragmentOffset: 3, moreFragments: true }),
    v4(UDP, filler(5), { fragmentOffset: 6 }),
    v4(TCP, tcp(filler(40), { sport: 5000, dport: 80, options: [1, 1, 1, 0] })),
    v4(TCP, tcp([], { sport: 80, dport: 5000 }), { ...back4, options: [1, 1, 1, 0] }),
    v4(SCTP, sctp(SCTP_CHUNK, 7000, 7001)),
    v4(SCTP, sctp(SCTP_CHUNK, 7001, 7000), back4, [qinq, vlan]),
    v4(ICMP, icmp(8)),
    v6(hopByHop, chain(udp(filler(20), 3000, 3001), UDP)),
    v6(hopByHop, chain(tcp(filler(20), { sport: 3000, dport: 443 }), TCP), {}, [vlan]),
    v6(TCP, tcp([], { sport: 443, dport: 3000 }), back6),
    v6(destination, extension(SCTP, sctp(SCTP_CHUNK, 7000, 7001)), {}, [qinq, vlan]),
    v6(fragment, fragment6(UDP, udp(filler(24), 3000, 3002), 0, true)),
    v6(fragment, fragment6(UDP, filler(24), 4, true)),
    v6(fragment, fragment6(UDP, udp(filler(8), 3000, 3003))),
    v6(PROTO.icmpv6, icmp(128)),
    ethernet(ETHERTYPE.arp, new Uint8Array(46)),
  ];
}

Deno.test("replay counts fragments, VLAN in VLAN, IPv6 chains and SCTP as tshark -z conv does, flow by flow", async () => {
  // Twice and once more, so that no two flows are alike by accident.
  const frames = trickyFrames().flatMap((frame, i) => Array<Bytes>(1 + i % 3).fill(frame));
  const file = writePcap(everyMs(frames));
  const replayed = await replayBytes(file);
  const expected = await withFile(file, tsharkConversations);
  assertEquals(replayedConversations(replayed.windows), expected);
  assertEquals(expected.size, 13);
  assertEquals(unaccounted(replayed), []);
});

Deno.test("replay counts what tcpdump captured as tshark -z conv does, whole and cut by a snap length", async () => {
  await using net = await TestNet.create();
  const dir = await Deno.makeTempDir();
  try {
    const snapLengths = [0, 96, 50, 36];
    const captures = await Promise.all(snapLengths.map(async (snap) => {
      // deno-fmt-ignore
      const args = ["-i", ENDS.watched.iface, "-n", "-U", "--immediate-mode", "-s", `${snap}`, "-w", `${dir}/${snap}.pcap`, "-Z", "root"];
      const child = net.spawn("watched", "tcpdump", args);
      const reader = child.stderr.getReader();
      let said = "";
      while (!said.includes("listening on")) said += new TextDecoder().decode((await reader.read()).value);
      reader.releaseLock();
      return child;
    }));
    const { ipv4: address4, ipv6: address6 } = ENDS.watched;
    for (const address of [address4, address6]) {
      const server = net.spawnScript("watched", "talker.ts", ["tcp-serve", address, "8080", "2000", "3000"]);
      for (let tries = 0; !(await net.run("watched", "ss", ["-ltnH"])).includes(":8080 "); tries++) {
        if (tries > 100) throw new Error("Cannot go on: the server does not listen");
      }
      await net.runScript("peer", "talker.ts", ["tcp-connect", address, "8080", "3000", "2000"]);
      await server.output();
      // Larger than the MTU: fragments.
      await net.runScript("peer", "talker.ts", ["udp-send", address, "5000", "2", "3500"]);
      for (const port of ["5001", "5002"]) {
        await net.runScript("peer", "talker.ts", ["udp-send", address, port, "9", "100"]);
      }
      await net.run("peer", "ping", ["-q", "-c", "3", "-i", "0.01", address]);
    }
    await net.settle();
    for (const child of captures) {
      child.kill("SIGINT");
      await child.output();
    }
    const ledgers: Ledger[] = [];
    for (const snap of snapLengths) {
      const file = `${dir}/${snap}.pcap`;
      const replayed = await replayBytes(await Deno.readFile(file));
      const expected = await tsharkConversations(file);
      assertEquals(replayedConversations(replayed.windows), expected, `snap length ${snap}`);
      assertEquals(unaccounted(replayed), []);
      assertEquals(replayed.result.cutFrames > 0, snap > 0);
      ledgers.push(ledgerOf(replayed.windows));
      // Each of the four saw the same traffic.
      assertEquals(replayed.result.bytes, (await replayBytes(await Deno.readFile(`${dir}/0.pcap`))).result.bytes);
    }
    assertGreater(ledgers[0].size, 12);
    // 96 bytes hold every header, with the options that tshark wants too; 50 UDP's over IPv4 alone; 36 no transport's.
    assertEquals(differences(ledgers[1], ledgers[0]), []);
    const truncated = ledgers.map((ledger) => ledger.get("truncated")?.packets ?? 0);
    assertEquals(truncated.slice(0, 2), [0, 0]);
    assertGreater(truncated[2], 0);
    assertGreater(truncated[3], truncated[2]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("replay counts every kind of frame as the oracle does, byte by byte of what a cut leaves", async () => {
  const frames = [...sampleFrames().values()];
  const whole: Ledger = new Map();
  for (const frame of frames) enterFrame(whole, frame);
  const replayed = await replayBytes(writePcap(everyMs(frames)));
  assertEquals(differences(ledgerOf(replayed.windows), whole), []);
  assertEquals(unaccounted(replayed), []);

  // Cut anywhere, a frame is what it was or truncated, and counts with its length on the wire.
  const windowMs = 100;
  const lengthsOf = (frame: Bytes) => Array.from({ length: Math.min(frame.length, 200) }, (_, length) => length);
  const cut = frames.flatMap((frame, i) =>
    lengthsOf(frame).map((length) => ({
      bytes: frame.slice(0, length),
      timeNs: EPOCH_NS + BigInt(i * windowMs) * 1_000_000n,
      wireBytes: frame.length,
    }))
  );
  const { windows, result } = await replayBytes(writePcap(cut), { windowMs });
  assertEquals([result.frames, result.cutFrames], [cut.length, cut.length]);
  for (const [i, [name, frame]] of [...sampleFrames()].entries()) {
    const ledger = ledgerOf([windows[i]]);
    const key = ledgerKey(classify(frame));
    const lengths = lengthsOf(frame).length;
    const truncated = ledger.get("truncated")?.packets ?? 0;
    assert(truncated >= 14, name);
    const expected: Ledger = new Map();
    addTo(expected, "truncated", { packets: truncated, bytes: truncated * frame.length, tcpFlags: 0 });
    if (key !== "truncated") {
      const left = lengths - truncated;
      addTo(expected, key, { packets: left, bytes: left * frame.length, tcpFlags: ledger.get(key)?.tcpFlags ?? 0 });
    }
    assertEquals([truncated <= lengths, differences(ledger, expected)], [true, []], name);
  }
});

Deno.test("replay cuts windows on the capture's time line and keeps its times", async () => {
  const frame = (sport: number) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], sport)));
  const at = (ms: number, sport: number) => ({ bytes: frame(sport), timeNs: EPOCH_NS + BigInt(ms) * 1_000_000n + 7n });
  const file = writePcap([
    at(0, 1),
    at(999, 1),
    at(1000, 1),
    at(1500, 2),
    // Earlier than the one before it: counted, at that one's time.
    at(1400, 2),
    // A silence: the windows between have no packet and are left out, the grid stays.
    at(10_250, 3),
    at(10_999, 3),
  ]);
  const { windows, result } = await replayBytes(file, { windowMs: 1000 });
  const ns = (ms: number) => EPOCH_NS + BigInt(ms) * 1_000_000n + 7n;
  assertEquals(
    windows.map(({ sequence, startNs, endNs, endUnixNs }) => [sequence, startNs, endNs, endUnixNs]),
    [
      [0, ns(0), ns(1000), ns(1000)],
      [1, ns(1000), ns(2000), ns(2000)],
      [2, ns(10_000), ns(10_999), ns(10_999)],
    ],
  );
  const rows = windows.map(({ top }) =>
    top.toSorted((a, b) => a.sport - b.sport).map(({ sport, packets, firstSeenNs, lastSeenNs }) => [
      sport,
      packets,
      firstSeenNs,
      lastSeenNs,
    ])
  );
  assertEquals(rows, [
    [[1, 2, ns(0), ns(999)]],
    [[1, 1, ns(1000), ns(1000)], [2, 2, ns(1500), ns(1500)]],
    [[3, 2, ns(10_250), ns(10_999)]],
  ]);
  assertEquals([result.frames, result.endNotice, result.error], [7, null, null]);
});

Deno.test("replay counts captures without Ethernet headers as if they had them", async () => {
  const packets: [etherType: number, packet: Bytes][] = [
    [ETHERTYPE.ipv4, ipv4(PROTO.udp, udp(filler(20)))],
    [ETHERTYPE.ipv6, ipv6(PROTO.tcp, tcp(filler(3)))],
  ];
  const expected: Ledger = new Map();
  for (const [etherType, packet] of packets) enterFrame(expected, ethernet(etherType, packet));
  const be16 = (value: number) => [value >> 8, value & 0xff];
  const headers: [linkType: number, header: (etherType: number) => number[]][] = [
    [113, (etherType) => [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, ...be16(etherType)]],
    [276, (etherType) => [...be16(etherType), 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0]],
    [101, () => []],
    [12, () => []],
  ];
  for (const [linkType, header] of headers) {
    const frames = packets.map(([etherType, packet]) => concat(header(etherType), packet));
    const replayed = await replayBytes(writePcap(everyMs(frames), linkType));
    assertEquals(differences(ledgerOf(replayed.windows), expected), [], `link type ${linkType}`);
    assertEquals(unaccounted(replayed), []);
  }
  const { result } = await replayBytes(writePcap(everyMs([filler(40)]), 105));
  assertEquals(result.error?.message, "Cannot replay the capture: its link type 105 is not supported");
});

Deno.test("replay reads what editcap makes of a capture in other formats alike", async () => {
  const dir = await Deno.makeTempDir();
  try {
    // Whole microseconds, which all formats have.
    const file = writePcap(everyMs(trickyFrames()));
    await Deno.writeFile(`${dir}/some.pcap`, file);
    const { windows } = await replayBytes(file, { windowMs: 5 });
    const plain = windows.map(({ swapSeconds: _swap, drainSeconds: _drain, ...window }) => window);
    assertEquals(plain.length, 5);
    for (const format of ["pcapng", "pcap", "nsecpcap"]) {
      const args = ["-F", format, `${dir}/some.pcap`, `${dir}/some.${format}`];
      const { success, stderr } = await new Deno.Command("editcap", { args }).output();
      assert(success, new TextDecoder().decode(stderr));
      const converted = await Deno.readFile(`${dir}/some.${format}`);
      const packed = await new Response(new Response(converted).body!.pipeThrough(new CompressionStream("gzip")))
        .bytes();
      for (const content of [converted, packed]) {
        const again = await replayBytes(content, { windowMs: 5 });
        assertEquals(
          again.windows.map(({ swapSeconds: _swap, drainSeconds: _drain, ...window }) => window),
          plain,
          format,
        );
      }
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("replay counts flows that find no room, and all that comes before the file breaks", async () => {
  const frames = Array.from({ length: 200 }, (_, i) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1 + i))));
  const file = writePcap(everyMs(frames));
  const full = await replayBytes(file, { flowsMax: 16 });
  assertEquals(unaccounted(full), []);
  assertEquals(full.windows[0].flows, 16);
  assertEquals(full.windows[0].interfaces[0].overflow.packets, 184);
  const { prefixes, rest } = full.windows[0].overflow!;
  assertEquals(prefixes.map(({ prefix, packets }) => [prefix, packets]), [["192.0.2.0/24", 184]]);
  assertEquals(rest.packets, 0);

  const cut = await replayBytes(file.slice(0, file.length - 1));
  const begins = file.length - frames[199].length - 16;
  assertEquals(cut.result.frames, 199);
  assertEquals(
    cut.result.endNotice,
    `the file ends at byte ${file.length - 1}, within the record that begins at ${begins}`,
  );
  assertEquals(unaccounted(cut), []);

  const packed = await new Response(new Response(file).body!.pipeThrough(new CompressionStream("gzip"))).bytes();
  const unpacked = await replayBytes(packed.slice(0, packed.length - 9));
  assert(unpacked.result.error?.message.startsWith("Cannot read the capture: "));
  assertEquals(unaccounted(unpacked), []);

  const broken = file.slice();
  broken[begins + 11] = 0xff;
  const { result, windows } = await replayBytes(broken);
  assertEquals(result.frames, 199);
  assertEquals(windows[0].flows, 199);
  assertEquals(
    result.error?.message,
    `Cannot read the capture: malformed at byte ${begins}: a packet of 4278190122 bytes`,
  );
});

Deno.test("replay gives maps that were full more room from the next window on, and counts the same packets", async () => {
  const flows = 200;
  const windowMs = 1_000;
  const windowsSent = 5;
  const frames = Array.from(
    { length: windowsSent * windowMs },
    (_, i) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1 + i % flows))),
  );
  const file = writePcap(everyMs(frames));
  const replay = (flowsMax: number, flowsLimit?: number) => replayBytes(file, { windowMs, flowsMax, flowsLimit });
  const grown = await replay(128, 1_000);
  const roomy = await replay(1_000);
  const fixed = await replay(128);
  const overflowed = ({ windows }: typeof grown) =>
    windows.map(({ interfaces }) => interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0));
  const lost = (flows - 128) * windowMs / flows;
  assertEquals(overflowed(fixed), Array(windowsSent).fill(lost));
  assertEquals(overflowed(grown), [lost, 0, 0, 0, 0]);
  // IPv4's maps have doubled, those of IPv6 have not.
  assertEquals(grown.windows.map(({ capacity }) => capacity), [256, 384, 384, 384, 384]);
  const counted = ({ windows, result }: typeof grown) => [
    result.frames,
    result.bytes,
    windows.map((
      { startNs, endNs, interfaces },
    ) => [startNs, endNs, interfaces.map(({ seen, other }) => [seen, other])]),
  ];
  assertEquals(counted(grown), counted(roomy));
  const flowsOf = (windows: typeof grown.windows) => ledgerOf(windows.slice(1));
  assertEquals(differences(flowsOf(grown.windows), flowsOf(roomy.windows)), []);
  for (const replayed of [grown, roomy, fixed]) {
    assertEquals([unaccounted(replayed), replayed.result.growthNotice], [[], null]);
  }
});

Deno.test("a signal in the middle of a run costs no frame, and none is counted twice", async () => {
  const frames = Array.from({ length: 20 }, (_, i) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp(filler(i), 1 + i))));
  const roundsMin = 10_000, roundsMax = 500_000;
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf, { replays: true });
  const symbols = libbpf.symbols as { -readonly [Name in keyof typeof libbpf.symbols]: typeof libbpf.symbols[Name] };
  const run = symbols.bpf_prog_test_run_opts;
  let interrupted = 0;
  symbols.bpf_prog_test_run_opts = (...args) => {
    const returned = run(...args);
    if (returned === -EINTR) interrupted++;
    return returned;
  };
  using replay = probe.frameReplay();
  let signals = 0;
  let rounds = 0;
  const count = () => void signals++;
  Deno.addSignalListener("SIGUSR2", count);
  // The thread that waits for the kernel, which is not the process's first one.
  const libc = Deno.dlopen("libc.so.6", { gettid: { parameters: [], result: "i32" } });
  const script = new URL("support/interrupter.ts", import.meta.url).pathname;
  const sender = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-ffi", script, `${Deno.pid}`, `${libc.symbols.gettid()}`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    for (let tries = 0; signals === 0; tries++) {
      assert(tries < 10_000, "no signal comes");
      await delay(5);
    }
    for (; rounds < roundsMin || interrupted === 0 && rounds < roundsMax; rounds++) {
      for (const frame of frames) {
        replay.frame.set(frame);
        replay.add(frame.length, { wireBytes: frame.length, ticks: 1n });
      }
    }
    replay.flush();
  } finally {
    sender.kill("SIGKILL");
    await sender.status;
    Deno.removeSignalListener("SIGUSR2", count);
    libc.close();
  }
  assertGreater(interrupted, 0);
  const { ledgers: [ledger], seen } = takeWindow(probe);
  const expected: Ledger = new Map();
  for (const frame of frames) {
    const { length: lenBytes } = frame;
    addTo(expected, ledgerKey(classify(frame)), { packets: rounds, bytes: rounds * lenBytes, tcpFlags: 0 });
  }
  assertEquals([seen.packets, differences(ledger, expected)], [rounds * frames.length, []]);
});

Deno.test("replay goes on with the maps it has where it cannot have larger ones, and says why", async () => {
  const options = { windowMs: 1, flowsMax: 16, flowsLimit: 64 };
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf, { ...options, replays: true });
  let asked = 0;
  probe.resizeSpare = () => Promise.reject(new Error(`there is no memory for it, ${++asked}`));
  const interfaceOfSlot: string[] = [];
  interfaceOfSlot[probe.slotOf[0]] = "capture";
  const reducer = new FlowReducer({ interfaceOfSlot, valuesPerEntry: 1, topMax: 1, filter: null });
  const windows: FlowWindow[] = [];
  using replay = probe.frameReplay();
  const replayed = new ReplayedWindows({ probe, replay, reducer }, options, (window) => windows.push(window));
  const linkType = 1;
  for (let i = 0; i < 80; i++) {
    const bytes = ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1 + i % 20)));
    const timeNs = EPOCH_NS + BigInt(Math.floor(i / 20)) * 1_000_000n;
    await replayed.add({ bytes, timeNs, wireBytes: bytes.length, linkType });
  }
  replayed.finish();
  assertEquals([asked, replayed.growthNotice], [1, "there is no memory for it, 1"]);
  assertEquals(windows.map(({ flows, interfaces }) => [flows, interfaces[0].overflow.packets]), Array(4).fill([16, 4]));
});

Deno.test("replay at --speed lets time pass as it did, and ends at once when it is told to", async () => {
  const frame = ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([])));
  const file = writePcap(
    [0n, 200n, 400n, 100_000n].map((ms) => ({ bytes: frame, timeNs: EPOCH_NS + ms * 1_000_000n })),
  );
  const before = performance.now();
  const stop = new AbortController();
  const packets: number[] = [];
  const result = await replayCapture(
    ReadableStream.from([file]) as ReadableStream<Bytes>,
    {
      name: "capture",
      windowMs: 300,
      flowsMax: 16,
      topMax: 1,
      order: "packets",
      filter: "",
      speed: 2,
      assetsDir: ASSETS_DIR,
    },
    {
      take(window) {
        packets.push(window.matched.packets);
        if (window.sequence === 0) setTimeout(() => stop.abort(), 50);
      },
      signal: stop.signal,
    },
  );
  const tookMs = performance.now() - before;
  assertEquals([result.frames, packets], [3, [2, 1]]);
  // The last frame would come after 50 seconds.
  assert(tookMs >= 200 && tookMs < 40_000, `${tookMs} ms`);
});

Deno.test("a pipe that says nothing does not hold up the end of a replay", async () => {
  const frames = Array.from({ length: 3 }, () => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([]))));
  const file = writePcap(everyMs(frames));
  const packed = new Uint8Array(
    await new Response(ReadableStream.from([file]).pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
  );
  const settings = {
    name: "pipe",
    windowMs: 1_000,
    flowsMax: 16,
    topMax: 1,
    order: "packets",
    filter: "",
    speed: 0,
  } as const;
  // The last four bytes of what is compressed hold no more than its length.
  for (const [start, counted] of [[null, 0], [file, 3], [packed.slice(0, -4), 3]] as const) {
    let cancelled = false;
    const source = new ReadableStream<Bytes>({
      start: (controller) => start === null ? undefined : controller.enqueue(start),
      cancel: () => void (cancelled = true),
    });
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 500);
    const result = await replayCapture(source, { ...settings, assetsDir: ASSETS_DIR }, {
      take() {},
      signal: stop.signal,
    });
    clearTimeout(timer);
    assertEquals([result.frames, result.error, result.endNotice, cancelled], [counted, null, null, true]);
  }
});
