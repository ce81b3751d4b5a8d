/** The built ./ebpfmon replay as its users meet it: output, exit codes, messages. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "./assert.ts";
import { everyMs, writePcap } from "./support/captures.ts";
import { runCli } from "./support/cli.ts";
import { type Bytes, ethernet, ETHERTYPE, ipv4, PROTO, udp } from "./support/frames.ts";
import { TestNet } from "./support/namespaces.ts";

const FRAMES = 2_500;

/** Of 25 flows, one a millisecond. */
function someCapture(): Bytes {
  const frames = Array.from(
    { length: FRAMES },
    (_, i) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1000 + i % 25))),
  );
  return writePcap(everyMs(frames));
}

/** A net, and a file with this content. */
async function withCapture(content: Bytes, use: (net: TestNet, file: string) => Promise<void>): Promise<void> {
  await using net = await TestNet.create();
  const file = await Deno.makeTempFile({ suffix: ".pcap" });
  try {
    await Deno.writeFile(file, content);
    await use(net, file);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("replay --json prints the windows of monitor and a summary that accounts for each frame", async () => {
  await withCapture(someCapture(), async (net, file) => {
    const { code, objects, stdout, stderr } = await runCli(net, ["replay", file, "--json", "--top", "3"]);
    assertEquals([code, stderr, stdout.length], [0, [], objects.length]);
    assertEquals(objects.map(({ type }) => type), ["window", "window", "window", "summary"]);
    const windows = objects.slice(0, 3);
    assertEquals(windows.map(({ packets, flows, top }) => [packets, flows, top.length]), [
      [1000, 25, 3],
      [1000, 25, 3],
      [500, 25, 3],
    ]);
    assertEquals(windows[0].start_ns, "1700000000000000000");
    assertEquals(windows[0].time, "2023-11-14T22:13:21.000000000Z");
    assertEquals(windows[1].top[0].first_seen_ns, "1700000001000000000");
    const summary = objects[3];
    assertEquals([summary.seen_packets, summary.balanced], [FRAMES, true]);
    assertEquals(summary.capture, { frames: FRAMES, bytes: FRAMES * 42, cut_frames: 0, end: null });
  });
});

Deno.test("replay --max-flows-limit lets a map that was full grow for the next window", async () => {
  await withCapture(someCapture(), async (net, file) => {
    const overflowOf = async (...flags: string[]) => {
      const { objects } = await runCli(net, ["replay", file, "--json", "--max-flows", "16", ...flags]);
      const summary = objects.pop()!;
      assertEquals([summary.seen_packets, summary.balanced], [FRAMES, true]);
      return objects.map(({ overflow_packets }) => overflow_packets);
    };
    assertEquals(await overflowOf(), [360, 0, 0]);
    assertEquals(await overflowOf("--max-flows-limit", "16"), [360, 360, 180]);
  });
});

Deno.test("replay prints tables and the accounting, and reads standard input", async () => {
  await withCapture(someCapture(), async (net, file) => {
    const flags = ["--window", "60000", "--filter", "port 1007"];
    const { code, stdout, stderr } = await runCli(net, ["replay", file, ...flags]);
    assertEquals([code, stderr], [0, []]);
    assertStringIncludes(stdout.join("\n"), "Matched: 1 flows, 100 packets, 4200 bytes");
    assertMatch(stdout.join("\n"), /^192\.0\.2\.1:1007 +198\.51\.100\.2:53 +udp +in +\S+\.pcap +100 +4200$/m);
    assertStringIncludes(stdout.join("\n"), "Accounting: seen = flows + overflow + other");
    assertEquals(
      stdout.at(-1),
      `Capture: ${FRAMES} frames, ${FRAMES * 42} bytes on the wire, 0 frames cut by the snap length`,
    );

    const piped = await runCli(net, ["replay", "-", ...flags], ["sh", "-c", `exec "$0" "$@" < ${file}`]);
    const name = file.split("/").at(-1)!;
    // Columns are as wide as what is in them.
    const words = (lines: string[]) => lines.map((line) => line.replace(name, "stdin").split(/\s+/));
    assertEquals([piped.code, words(piped.stdout)], [0, words(stdout)]);
  });
});

Deno.test("replay says where a file breaks, after what came before it", async () => {
  const whole = someCapture();
  const cut = whole.slice(0, whole.length - 5);
  await withCapture(cut, async (net, file) => {
    const { code, objects, stderr } = await runCli(net, ["replay", file, "--json"]);
    const last = 24 + (FRAMES - 1) * (16 + 42);
    assertEquals(code, 0);
    assertEquals(stderr, [
      `ebpfmon: ${file}: the file ends at byte ${cut.length}, within the record that begins at ${last}; ` +
      "what came before it is counted",
    ]);
    assertEquals(objects.at(-1)!.capture.frames, FRAMES - 1);
  });
  const broken = whole.slice();
  broken.fill(0xff, 24 + 58 * 10, 24 + 58 * 10 + 16);
  await withCapture(broken, async (net, file) => {
    const { code, objects, stderr } = await runCli(net, ["replay", file, "--json"]);
    assertEquals([code, stderr], [
      1,
      ["ebpfmon: Cannot read the capture: malformed at byte 604: a packet of 4294967295 bytes"],
    ]);
    assertEquals(objects.at(-1)!.seen_packets, 10);
  });
});

Deno.test("replay fails in one line without a file, without a capture in it, and without privilege", async () => {
  await withCapture(new TextEncoder().encode("not a capture"), async (net, file) => {
    const run = async (args: string[], prefix: string[] = []) => {
      const { code, stdout, stderr } = await runCli(net, args, prefix);
      assertEquals(stderr.length, 1, stderr.join("\n"));
      return { code, stdout, message: stderr[0] };
    };
    const missing = await run(["replay", "/nowhere/some.pcap", "--json"]);
    assertEquals([missing.code, missing.stdout], [1, []]);
    assertMatch(missing.message, /^ebpfmon: Cannot open the capture \/nowhere\/some\.pcap: .*[Nn]o such file/);
    const device = await run(["replay", "/dev/fd/0", "--json"]);
    assertEquals(device.message, "ebpfmon: Cannot open the capture /dev/fd/0: not a plain file; pipe it in as -");
    const other = await run(["replay", file, "--json"]);
    assertEquals([other.code, other.stdout], [1, []]);
    assertEquals(other.message, "ebpfmon: Cannot read the capture: it is neither pcap nor pcapng");
    const powerless = await run(["replay", file], ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
    assertEquals(powerless.code, 3);
    assert(powerless.message.includes("CAP_BPF"), powerless.message);
  });
});
