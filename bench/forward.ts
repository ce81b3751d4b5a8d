/**
 * Bench 3: packets a second that arrive through a veth while something watches its end, each watcher's own CPU time, and
 * how many of the packets it says it saw. One sender at full speed; all in one run, rounds interleaved.
 */
import { readKernelFile } from "../lib/ffi/libc.ts";
import { cpuSeconds } from "../lib/cli/process_usage.ts";
import { ENDS, TestNet } from "../tests/support/namespaces.ts";
import { median, run } from "./support.ts";

const PACKETS = 3 * 2 ** 20;
const FLOWS = 1_000;
const ROUNDS = 3;
const IFACE = ENDS.watched.iface;
const FIRST_SOURCE = 0x0a000000;

interface Watcher {
  name: string;
  /** null: nothing is started. */
  command: [string, ...string[]] | null;
  /** Packets that it says it saw, asked before or taken from its output after it was told to stop. */
  ask?(net: TestNet): Promise<number>;
  read?(output: string): number;
}

/** Where softflowd is told what to answer. */
const CONTROL = `/tmp/ebpfmon-bench-${Deno.pid}.ctl`;

const WATCHERS: Watcher[] = [
  { name: "nothing", command: null },
  {
    name: "ebpfmon",
    command: ["./ebpfmon", "monitor", IFACE, "--json", "--listen", "off", "--direction", "ingress"],
    read: (output) => JSON.parse(output.trimEnd().split("\n").at(-1)!).seen_packets,
  },
  {
    name: "tcpdump -w /dev/null",
    command: ["tcpdump", "-i", IFACE, "-Q", "in", "-w", "/dev/null"],
    read: (output) => Number(/(\d+) packets captured/.exec(output)?.[1] ?? 0),
  },
  {
    name: "softflowd",
    command: ["softflowd", "-d", "-i", IFACE, "-c", CONTROL],
    ask: async () => {
      const statistics = await run("softflowctl", "-c", CONTROL, "statistics");
      return Number(/Packets processed: (\d+)/.exec(statistics)?.[1] ?? 0);
    },
  },
];

interface Round {
  perSecond: number;
  cpuSeconds: number;
  /** Share of the packets that arrived which the watcher counted; null for nothing. */
  counted: number | null;
}

async function measure(net: TestNet, watcher: Watcher): Promise<Round> {
  const child = watcher.command && net.spawn("watched", watcher.command[0], watcher.command.slice(1));
  const output = child && Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const ifindex = await net.ifindex("peer");
  const sender = net.spawnScript("peer", "generate.ts", [ifindex, FLOWS, FIRST_SOURCE, PACKETS].map(String), {
    stdin: "piped",
  });
  const reader = sender.stdout.getReader();
  await reader.read(); // "ready"
  const before = await net.counters("watched");
  const start = performance.now();
  await sender.stdin.close();
  await sender.status;
  const seconds = (performance.now() - start) / 1000;
  await reader.cancel();
  await net.settle();
  const arrived = (await net.counters("watched")).rxPackets - before.rxPackets;
  let counted = await watcher.ask?.(net) ?? null;
  const used = child === null ? 0 : cpuSeconds(readKernelFile(`/proc/${child.pid}/stat`));
  child?.kill("SIGINT");
  await child?.status;
  const text = (await output)?.join("") ?? "";
  counted ??= watcher.read?.(text) ?? null;
  return { perSecond: arrived / seconds, cpuSeconds: used, counted: counted === null ? null : counted / arrived };
}

export async function benchForward(): Promise<void> {
  console.log(`\n3. Packets through a veth at full speed, ${FLOWS} flows (ratio = rate / rate with nothing)`);
  await using net = await TestNet.create();
  // Without an XDP program a veth takes frames from its peer only with GRO on.
  await net.run("watched", "ethtool", ["-K", IFACE, "gro", "on"]);
  const rounds = new Map(WATCHERS.map((watcher) => [watcher, [] as Round[]]));
  for (let i = 0; i < ROUNDS; i++) {
    for (const [watcher, all] of rounds) all.push(await measure(net, watcher));
  }
  const nothing = median(rounds.get(WATCHERS[0])!.map((round) => round.perSecond));
  for (const [{ name }, all] of rounds) {
    const perSecond = median(all.map((round) => round.perSecond));
    const counted = all[0].counted === null
      ? ""
      : `, counted ${(100 * median(all.map((round) => round.counted!))).toFixed(2)} % of what arrived`;
    console.log(
      `   ${name.padEnd(21)} ${(perSecond / 1e6).toFixed(2)} M/s, ratio ${(perSecond / nothing).toFixed(2)}, ` +
        `CPU ${median(all.map((round) => round.cpuSeconds)).toFixed(2)} s${counted}`,
    );
  }
}

if (import.meta.main) await benchForward();
