/**
 * Bench 3: packets a second that arrive through a veth while something watches its end, each watcher's own CPU time, and
 * how many of the packets it says it saw. One sender at full speed; all in one run, rounds interleaved.
 */
import { readKernelFile } from "../lib/ffi/libc.ts";
import { cpuSeconds } from "../lib/cli/process_usage.ts";
import { ENDS, TestNet } from "../tests/support/namespaces.ts";
import { median, outputOf, programPath, textOf } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const IFACE = ENDS.watched.iface;
const FIRST_SOURCE = 0x0a000000;

interface Watcher {
  name: string;
  /** null: nothing is started. */
  command: [string, ...string[]] | null;
  /** Whether it must have counted each packet; others may lose some at full speed. */
  isExact?: boolean;
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
    isExact: true,
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
      const statistics = await outputOf("softflowctl", "-c", CONTROL, "statistics");
      return Number(/Packets processed: (\d+)/.exec(statistics)?.[1] ?? 0);
    },
  },
];

interface Load {
  flows: number;
  packets: number;
  /** How long to wait before packets are sent, once a watcher has said something. */
  settleMs: number;
}

interface Round {
  /** Packets that arrived. */
  arrived: number;
  perSecond: number;
  cpuSeconds: number;
  /** Packets that the watcher counted; null for nothing. */
  counted: number | null;
}

async function measure(net: TestNet, watcher: Watcher, { flows, packets, settleMs }: Load): Promise<Round> {
  const child = watcher.command && net.spawn("watched", watcher.command[0], watcher.command.slice(1));
  const started = Promise.withResolvers<void>();
  const output = child && Promise.all([child.stdout, child.stderr].map((it) => textOf(it, started.resolve)));
  if (child !== null) await started.promise;
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const ifindex = await net.ifindex("peer");
  const sender = net.spawnScript("peer", "generate.ts", [ifindex, flows, FIRST_SOURCE, packets].map(String), {
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
  return { arrived, perSecond: arrived / seconds, cpuSeconds: used, counted };
}

export async function bench(run: BenchRun): Promise<void> {
  const load: Load = { flows: run.pick(1_000, 10), packets: run.pick(3 * 2 ** 20, 128), settleMs: run.pick(1_000, 0) };
  run.report(`\n3. Packets through a veth at full speed, ${load.flows} flows (ratio = rate / rate with nothing)`);
  await using net = await TestNet.create();
  // Without an XDP program a veth takes frames from its peer only with GRO on.
  await net.run("watched", programPath("enable_gro"), [IFACE]);
  // A check takes no more than the packages of `make test`.
  const watchers = run.pick(WATCHERS, WATCHERS.filter(({ name }) => name !== "softflowd"));
  const rounds = new Map(watchers.map((watcher) => [watcher, [] as Round[]]));
  for (let i = 0; i < run.pick(3, 1); i++) {
    for (const [watcher, all] of rounds) {
      const round = await measure(net, watcher, load);
      all.push(round);
      if (watcher.isExact) run.equal(`the number of packets that ${watcher.name} saw`, round.counted!, round.arrived);
      // Fewer than the queue of a veth holds: none of them is dropped.
      if (run.isCheck) run.equal("the number of packets that arrived", round.arrived, load.packets);
    }
  }
  const nothing = median(rounds.get(WATCHERS[0])!.map((round) => round.perSecond));
  for (const [{ name }, all] of rounds) {
    const perSecond = median(all.map((round) => round.perSecond));
    const counted = all[0].counted === null
      ? ""
      : `, counted ${(100 * median(all.map((round) => round.counted! / round.arrived))).toFixed(2)} % of what arrived`;
    run.report(
      `   ${name.padEnd(21)} ${(perSecond / 1e6).toFixed(2)} M/s, ratio ${(perSecond / nothing).toFixed(2)}, ` +
        `CPU ${median(all.map((round) => round.cpuSeconds)).toFixed(2)} s${counted}`,
    );
  }
}
