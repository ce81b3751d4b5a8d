/** Captures that tests write, replay, and have tshark count. */
import type { FlowRow, FlowWindow } from "../../lib/aggregate/windows/flow_window.ts";
import { replayCapture, type ReplayOptions, type ReplayResult } from "../../lib/replay/replay.ts";
import { ASSETS_DIR } from "./bpf.ts";
import { type Bytes, ip4, ip6 } from "./frames.ts";
import { addTo, type Ledger, ledgerKey } from "./oracle.ts";
import type { WrittenFrame } from "./pcap_writer.ts";

export { writePcap } from "./pcap_writer.ts";
export type { WrittenFrame } from "./pcap_writer.ts";

export const EPOCH_NS = 1_700_000_000_000_000_000n;

/** One frame a millisecond. */
export function everyMs(frames: Bytes[]): WrittenFrame[] {
  return frames.map((bytes, i) => ({ bytes, timeNs: EPOCH_NS + BigInt(i) * 1_000_000n }));
}

export interface Replayed {
  windows: FlowWindow[];
  result: ReplayResult;
}

const DEFAULTS: ReplayOptions = {
  name: "capture",
  windowMs: 60_000,
  flowsMax: 4096,
  topMax: 10_000,
  order: "packets",
  filter: "",
  speed: 0,
  assetsDir: ASSETS_DIR,
};

/** Replays a file's content through the built programs. */
export async function replayBytes(file: Bytes, options: Partial<ReplayOptions> = {}): Promise<Replayed> {
  const windows: FlowWindow[] = [];
  const result = await replayCapture(
    ReadableStream.from([file]) as ReadableStream<Bytes>,
    { ...DEFAULTS, ...options },
    { take: (window) => windows.push(window), signal: new AbortController().signal },
  );
  return { windows, result };
}

function rowKey({ src, dst, sport, dport, proto }: FlowRow): string {
  const family = src.includes(":") ? 6 : 4;
  const hex = (text: string) =>
    (family === 4 ? ip4(text) : ip6(text)).map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return ledgerKey({ family, src: hex(src), dst: hex(dst), sport, dport, proto });
}

/** What the windows counted, by flow and by class. */
export function ledgerOf(windows: FlowWindow[]): Ledger {
  const ledger: Ledger = new Map();
  for (const { top, interfaces } of windows) {
    for (const row of top) addTo(ledger, rowKey(row), row);
    for (const { other } of interfaces) {
      for (const [name, traffic] of Object.entries(other)) addTo(ledger, name, { ...traffic, tcpFlags: 0 });
    }
  }
  return ledger;
}

/** Transports whose conversations tshark lists. */
const CONVERSATIONS = { tcp: 6, udp: 17, sctp: 132 } as const;

export type Conversations = Map<string, { packets: number; bytes: number }>;

function addConversation(to: Conversations, key: string, packets: number, bytes: number): void {
  if (packets === 0) return;
  const sum = to.get(key) ?? { packets: 0, bytes: 0 };
  to.set(key, { packets: sum.packets + packets, bytes: sum.bytes + bytes });
}

/** Each direction of the conversations in a file, as `tshark -q -z conv` has them. It says "12 kB" from 10,000 bytes on. */
export async function tsharkConversations(file: string): Promise<Conversations> {
  const found: Conversations = new Map();
  for (const transport of Object.keys(CONVERSATIONS)) {
    // What follows the first fragment is not put together with it: then its frames would not count where they are.
    const settings = ["ip.defragment:FALSE", "ipv6.defragment:FALSE"].flatMap((setting) => ["-o", setting]);
    const args = ["-r", file, "-n", "-q", ...settings, "-z", `conv,${transport}`];
    const { success, stdout, stderr } = await new Deno.Command("tshark", { args }).output();
    if (!success) throw new Error(`Cannot ask tshark: ${new TextDecoder().decode(stderr)}`);
    for (const line of new TextDecoder().decode(stdout).split("\n")) {
      const [left, rest] = line.split("<->");
      if (rest === undefined) continue;
      const [, right, back, backBytes, forth, forthBytes] =
        /^ (\S+)\s+(\d+) (\d+) bytes?\s+(\d+) (\d+) bytes?\s/.exec(rest) ?? [];
      if (right === undefined) throw new Error(`Cannot read what tshark says: ${line}`);
      addConversation(found, `${transport} ${left.trim()} > ${right}`, Number(forth), Number(forthBytes));
      addConversation(found, `${transport} ${right} > ${left.trim()}`, Number(back), Number(backBytes));
    }
  }
  return found;
}

/** The same of what was replayed. */
export function replayedConversations(windows: FlowWindow[]): Conversations {
  const found: Conversations = new Map();
  for (const { src, dst, sport, dport, proto, packets, bytes } of windows.flatMap(({ top }) => top)) {
    const transport = Object.entries(CONVERSATIONS).find(([, number]) => number === proto)?.[0];
    if (transport === undefined) continue;
    addConversation(found, `${transport} ${src}:${sport} > ${dst}:${dport}`, packets, bytes);
  }
  return found;
}

/** What is not accounted for, as lines: a frame is in a flow, in overflow or in an other class. */
export function unaccounted({ windows, result }: Replayed): string[] {
  const wrong: string[] = [];
  for (const [unit, inFile] of [["packets", result.frames], ["bytes", result.bytes]] as const) {
    let sum = 0;
    for (const { flows, overflow, other } of windows.flatMap(({ interfaces }) => interfaces)) {
      sum += flows[unit] + overflow[unit] + Object.values(other).reduce((total, traffic) => total + traffic[unit], 0);
    }
    if (sum !== inFile) wrong.push(`${inFile} ${unit} in the file, accounted for ${sum}`);
  }
  return wrong;
}
