/** A capture of known counts through the program that counts live packets. */
import { assertEquals } from "../../assert.ts";
import { writePcap } from "../../support/pcap_writer.ts";
import { ethernet, ETHERTYPE, ipv4, PROTO, udp } from "../../support/frames.ts";
import { runToEnd } from "./programs_run.ts";
import { subject } from "./subject.ts";

const EPOCH_NS = 1_700_000_000_000_000_000n;
const FLOWS = 25;
const FRAMES = 2_500;

/** One frame a millisecond, of one flow after another. */
function capture(): Uint8Array<ArrayBuffer> {
  return writePcap(Array.from({ length: FRAMES }, (_, i) => ({
    bytes: ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1_000 + i % FLOWS))),
    timeNs: EPOCH_NS + BigInt(i) * 1_000_000n,
  })));
}

export const replay = subject({
  name: "replay",
  limitSeconds: 90,
  async gather(guest) {
    const file = await Deno.makeTempFile({ suffix: ".pcap" });
    await Deno.writeFile(file, capture());
    return await runToEnd(guest, ["replay", file, "--json"]);
  },
  checks: {
    "windows hold each frame of the capture in its flow": ({ code, stderr, objects }) => {
      assertEquals([code, stderr], [0, []]);
      const windows = objects.filter(({ type }) => type === "window");
      assertEquals(windows.map(({ packets, flows }) => [packets, flows]), [[1000, FLOWS], [1000, FLOWS], [500, FLOWS]]);
      assertEquals(windows[0].start_ns, String(EPOCH_NS));
    },
    "the summary accounts for all frames": ({ objects }) => {
      const { seen_packets, balanced, capture } = objects.at(-1)!;
      assertEquals([seen_packets, balanced, capture.frames], [FRAMES, true, FRAMES]);
    },
  },
});
