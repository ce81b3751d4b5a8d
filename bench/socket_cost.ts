/**
 * Bench 9: nanoseconds that noting who uses a socket adds to a send or a receive over loopback, and to a connection from
 * its start to its end, against programs that do nothing at the same tracepoints.
 */
import { LibbpfLink } from "../lib/ffi/bpf_link.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import { SocketOwnerProbe } from "../lib/aggregate/owners/socket_owner_probe.ts";
import { SocketOwners } from "../lib/aggregate/owners/socket_owners.ts";
import { monotonicNs } from "../lib/ffi/libc.ts";
import { BUILD_DIR, median, outputOf, programPath } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const EMPTY_OBJECT = `${BUILD_DIR}/bpf/socket_cost.bpf.o`;
const OWNER_OBJECT = "build/bpf/socket_owner.bpf.o";
const EMPTY_PROGRAMS = ["socket_send", "socket_receive", "socket_state"];
/** Short rounds, and many: what is added is small beside what a machine does otherwise from one second to the next. */
const ROUNDS = 31;
const UDP = 17;
const OWNERS_MAX = 65_536;
/** What the workload prints the times of: so many calls each, sends and receives alike. */
const MEASURES = [
  { name: "UDP 64 B", calls: 2 },
  { name: "TCP 64 B", calls: 2 },
  { name: "TCP 64 KiB", calls: 2 },
  { name: "connection", calls: 1 },
];

interface Watcher {
  name: string;
  /** @returns what ends it */
  attach(): Disposable;
  /** Process that sent from one UDP port of loopback to another, as far as the watcher says. */
  ownerOf?(port: number, to: number): number | null;
}

/** All in the kernel before the first round: it goes on freeing tables for a while, at the cost of whoever comes next. */
async function loadWatchers(libbpf: Libbpf, stack: DisposableStack): Promise<Watcher[]> {
  const empty = stack.use(BpfObject.open(libbpf, "socket_cost", await Deno.readFile(EMPTY_OBJECT)));
  empty.load();
  const probe = stack.use(new SocketOwnerProbe(libbpf, await Deno.readFile(OWNER_OBJECT), { ownersMax: OWNERS_MAX }));
  return [
    { name: "nothing", attach: () => new DisposableStack() },
    {
      name: "empty programs",
      attach() {
        using links = new DisposableStack();
        for (const name of EMPTY_PROGRAMS) links.use(new LibbpfLink(libbpf, empty.programPointer(name), name));
        return links.move();
      },
    },
    {
      name: "ebpfmon",
      attach() {
        using links = new DisposableStack();
        links.defer(() => probe.detach());
        probe.attach();
        return links.move();
      },
      ownerOf(port, to) {
        const ends = { src: "127.0.0.1", dst: "127.0.0.1", sport: port, dport: to, proto: UDP };
        const flow = { ...ends, direction: "egress" as const, firstSeenNs: monotonicNs() };
        return new SocketOwners(probe, probe.netns).ownerOf(flow)?.pid ?? null;
      },
    },
  ];
}

export async function bench(run: BenchRun): Promise<void> {
  run.report(
    "\n9. Time of a send or a receive over loopback, on average, and of a connection; below, what watching adds " +
      "(ns; ratio = to empty programs)",
  );
  using stack = new DisposableStack();
  const libbpf = stack.use(openLibbpf({ embeddedDir: "build/app/lib" }));
  const watchers = await loadWatchers(libbpf, stack);
  const [baseline, peer, ours] = watchers;
  const program = programPath("socket_cost");
  const rounds: Map<Watcher, number[]>[] = [];
  for (let round = 0; round < run.pick(ROUNDS, 2); round++) {
    const times = new Map<Watcher, number[]>();
    // Forth and back: what a watcher leaves behind is not always the same one's to bear.
    for (const watcher of round % 2 === 0 ? watchers : watchers.toReversed()) {
      using _watching = watcher.attach();
      const printed = (await outputOf(program, String(run.pick(100, 2)))).trim().split("\n");
      const [measured, [pid, ...ports]] = printed.map((line) => line.split(" ").map(Number));
      times.set(watcher, measured.map((ns, i) => ns / MEASURES[i].calls));
      if (watcher.ownerOf === undefined) continue;
      for (const [port, to] of [ports, ports.toReversed()]) {
        run.equal(`the owner of UDP port ${port}`, watcher.ownerOf(port, to) ?? 0, pid);
      }
    }
    rounds.push(times);
  }
  /** What a watcher adds to what the same round took without any. */
  const added = (watcher: Watcher, i: number) =>
    median(rounds.map((times) => times.get(watcher)![i] - (watcher === baseline ? 0 : times.get(baseline)![i])));
  for (const watcher of watchers) {
    const columns = MEASURES.map(({ name }, i) => {
      const text = `${name} ${added(watcher, i).toFixed(0)}`;
      return watcher === ours ? `${text}: ratio ${(added(ours, i) / added(peer, i)).toFixed(2)}` : text;
    });
    run.report(`   ${watcher.name.padEnd(22)} ${columns.join("; ")}`);
  }
}
