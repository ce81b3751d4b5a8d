/** The aggregator watching one end of a test net, and what it counted, ready to be compared. */
import type { AggregatorOptions, AggregatorReport } from "../../lib/aggregate/aggregator_messages.ts";
import type { FlowWindow, Traffic } from "../../lib/aggregate/windows/flow_window.ts";
import { OTHER_CLASSES } from "../../lib/wire/traffic.ts";
import { ASSETS_DIR } from "./bpf.ts";
import { ip4, ip6 } from "./frames.ts";
import { linesOf } from "./lines.ts";
import { ENDS, type NetSide, type TestNet } from "./namespaces.ts";
import { addTo, type Ledger, ledgerKey } from "./oracle.ts";

const DEFAULTS: Omit<AggregatorOptions, "interfaces"> = {
  direction: "both",
  ingressMode: "auto",
  egressHook: "tcx",
  force: false,
  windowMs: 200,
  flowsMax: 65_536,
  values: "atomic",
  topMax: 100_000,
  filter: "",
  assetsDir: ASSETS_DIR,
};

export type Ready = Extract<AggregatorReport, { kind: "ready" }>;

export class Monitor {
  readonly ready: Ready;
  readonly #child: Deno.ChildProcess;
  readonly #reports: AsyncGenerator<AggregatorReport>;
  /** Those that have been read so far. */
  readonly windows: FlowWindow[] = [];
  /** Kinds of what it had to say, so far. */
  readonly alerts: string[] = [];

  private constructor(child: Deno.ChildProcess, reports: AsyncGenerator<AggregatorReport>, ready: Ready) {
    this.#child = child;
    this.#reports = reports;
    this.ready = ready;
  }

  /** Returns once it is attached and its first window has ended, so that it is past its start. */
  static async start(net: TestNet, options: Partial<AggregatorOptions> = {}, side: NetSide = "watched") {
    const all: AggregatorOptions = { ...DEFAULTS, interfaces: [ENDS[side].iface], ...options };
    const child = net.spawnScript(side, "monitor_script.ts", [JSON.stringify(all)], { stdin: "piped" });
    const reports = reportsOf(child);
    const { value: ready } = await reports.next();
    if (ready?.kind !== "ready") throw new Error(`Cannot start the aggregator: ${JSON.stringify(ready)}`);
    const monitor = new Monitor(child, reports, ready);
    await monitor.nextWindow();
    return monitor;
  }

  /** Waits for a window. */
  async nextWindow(): Promise<FlowWindow> {
    for (;;) {
      const { value: report } = await this.#reports.next();
      const window = this.#take(report);
      if (window !== null) return window;
    }
  }

  /** Waits until its windows have so many packets of ingress in all. */
  async counted(packets: number): Promise<void> {
    const seenOf = ({ interfaces }: FlowWindow) =>
      interfaces.reduce((sum, { direction, seen }) => direction === "ingress" ? sum + seen.packets : sum, 0);
    let seen = this.windows.reduce((sum, window) => sum + seenOf(window), 0);
    while (seen < packets) seen += seenOf(await this.nextWindow());
  }

  /** The report's window; null where it has none. */
  #take(report: AggregatorReport | undefined): FlowWindow | null {
    if (report?.kind === "notice") {
      this.alerts.push(report.alert);
      return null;
    }
    if (report?.kind !== "window") throw new Error(`Cannot go on: the aggregator says ${JSON.stringify(report)}`);
    this.windows.push(report.window);
    return report.window;
  }

  /** Stops it. @returns all windows, the last one included */
  async stop(): Promise<FlowWindow[]> {
    await this.#child.stdin.close();
    for await (const report of this.#reports) this.#take(report);
    await this.#child.status;
    return this.windows;
  }
}

async function* reportsOf(child: Deno.ChildProcess): AsyncGenerator<AggregatorReport> {
  for await (const line of linesOf(child.stdout)) {
    yield JSON.parse(
      line,
      (_, value) => typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
    );
  }
}

/** What a run's windows hold together, by direction. */
export interface Totals {
  ledgers: { ingress: Ledger; egress: Ledger };
  seen: { ingress: Traffic; egress: Traffic };
  flows: Traffic;
  overflow: Traffic;
  other: Traffic;
}

/** Adds windows up, and lists where they break the equations of docs/reference.md, section Accounting. */
export function totalsOf(windows: FlowWindow[]): { totals: Totals; broken: string[] } {
  const none = (): Traffic => ({ packets: 0, bytes: 0 });
  const totals: Totals = {
    ledgers: { ingress: new Map(), egress: new Map() },
    seen: { ingress: none(), egress: none() },
    flows: none(),
    overflow: none(),
    other: none(),
  };
  const broken: string[] = [];
  const add = (sum: Traffic, { packets, bytes }: Traffic) => {
    sum.packets += packets;
    sum.bytes += bytes;
  };
  windows.forEach((window, i) => {
    if (window.sequence !== i) broken.push(`window ${window.sequence} in the place of ${i}`);
    if (i > 0 && window.startNs !== windows[i - 1].endNs) broken.push(`a gap before window ${i}`);
    if (window.endNs < window.startNs) broken.push(`window ${i} ends before it starts`);
    for (const { iface, direction, seen, flows, overflow, other } of window.interfaces) {
      for (const unit of ["packets", "bytes"] as const) {
        const sum = flows[unit] + overflow[unit] + OTHER_CLASSES.reduce((sum, name) => sum + other[name][unit], 0);
        if (seen[unit] !== sum) {
          broken.push(`window ${i}, ${iface} ${direction}: seen ${seen[unit]} ${unit}, accounted for ${sum}`);
        }
      }
      add(totals.seen[direction], seen);
      add(totals.flows, flows);
      add(totals.overflow, overflow);
      for (const name of OTHER_CLASSES) {
        addTo(totals.ledgers[direction], name, { ...other[name], tcpFlags: 0 });
        add(totals.other, other[name]);
      }
    }
    for (const { direction, src, dst, sport, dport, proto, packets, bytes, tcpFlags } of window.top) {
      const family = src.includes(":") ? 6 : 4;
      const hex = (text: string) =>
        (family === 4 ? ip4(text) : ip6(text)).map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const key = ledgerKey({ family, src: hex(src), dst: hex(dst), sport, dport, proto });
      addTo(totals.ledgers[direction], key, { packets, bytes, tcpFlags });
    }
  });
  return { totals, broken };
}
