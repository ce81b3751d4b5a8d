/** Two network namespaces of a test's own, joined by a veth pair, and what runs in them. */
import { delay } from "../../lib/runtime/timers.ts";

/** `watched` is the end that a monitor looks at. */
export type NetSide = "watched" | "peer";

export const ENDS = {
  watched: { iface: "watched0", mac: "02:00:00:00:00:0b", ipv4: "192.0.2.11", ipv6: "2001:db8::11" },
  peer: { iface: "peer0", mac: "02:00:00:00:00:0a", ipv4: "192.0.2.10", ipv6: "2001:db8::10" },
} as const satisfies Record<NetSide, unknown>;

const SIDES: readonly NetSide[] = ["watched", "peer"];
const SUPPORT_DIR = decodeURIComponent(new URL(".", import.meta.url).pathname);

async function output(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${text.decode(stderr).trim()}`);
  return text.decode(stdout);
}

/** Counters of an interface as /proc/net/dev has them. */
export interface DeviceCounters {
  rxPackets: number;
  rxBytes: number;
  rxDropped: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
}

export class TestNet implements AsyncDisposable {
  readonly #names: Record<NetSide, string>;
  readonly #children: Deno.ChildProcess[] = [];

  private constructor(names: Record<NetSide, string>) {
    this.#names = names;
  }

  /**
   * @param options.gso false: TCP sends no frame larger than the MTU, so that a capture shows what was on the wire
   * @param options.queues of each end; with one a CPU, packets are received where they are sent
   */
  static async create(options: { gso?: boolean; queues?: number } = {}): Promise<TestNet> {
    const unique = `ebpfmon-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
    const names = { watched: `${unique}-w`, peer: `${unique}-p` };
    const net = new TestNet(names);
    try {
      for (const side of SIDES) {
        await output("ip", ["netns", "add", names[side]]);
        // Multicast reports come right after the start, not at some time within a second.
        const interval = "/proc/sys/net/ipv6/conf/default/mldv2_unsolicited_report_interval";
        await net.run(side, "sh", ["-c", `echo 1 > ${interval}`]);
      }
      const { watched, peer } = ENDS;
      const queues = `${options.queues ?? 1}`;
      const ofEnd = (
        { iface, mac }: typeof ENDS[NetSide],
      ) => ["name", iface, "address", mac, "numtxqueues", queues, "numrxqueues", queues];
      const link = [...ofEnd(watched), "type", "veth", "peer", ...ofEnd(peer), "netns", names.peer];
      await output("ip", ["-n", names.watched, "link", "add", ...link]);
      for (const side of SIDES) {
        const [end, other] = side === "watched" ? [watched, peer] : [peer, watched];
        // Without a link-local address and with fixed neighbours the kernel sends nothing of its own accord.
        const gso = options.gso === false ? ["gso_max_segs", "1"] : [];
        const commands = [
          ["link", "set", "lo", "up"],
          ["link", "set", end.iface, "addrgenmode", "none", ...gso],
          ["address", "add", `${end.ipv4}/24`, "dev", end.iface],
          ["address", "add", `${end.ipv6}/64`, "dev", end.iface, "nodad"],
          ["link", "set", end.iface, "up"],
          ["neighbour", "add", other.ipv4, "lladdr", other.mac, "dev", end.iface, "nud", "permanent"],
          ["neighbour", "add", other.ipv6, "lladdr", other.mac, "dev", end.iface, "nud", "permanent"],
        ];
        for (const command of commands) await output("ip", ["-n", names[side], ...command]);
      }
      for (const side of SIDES) await net.#untilUp(side);
      await net.settle();
      return net;
    } catch (error) {
      await net[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a command to its end. @returns its standard output @throws when it fails */
  run(side: NetSide, command: string, args: string[]): Promise<string> {
    return output("nsenter", [`--net=/run/netns/${this.#names[side]}`, "--", command, ...args]);
  }

  /** Starts a command that is killed with this net if it still runs then. */
  spawn(
    side: NetSide,
    command: string,
    args: string[],
    options: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr" | "env"> = {},
  ): Deno.ChildProcess {
    const child = new Deno.Command("nsenter", {
      args: [`--net=/run/netns/${this.#names[side]}`, "--", command, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...options,
    }).spawn();
    this.#children.push(child);
    return child;
  }

  /** Starts a script of this folder. @param options.cpu the one CPU that it may run on */
  spawnScript(
    side: NetSide,
    script: string,
    args: string[],
    options: { stdin?: "null" | "piped"; cpu?: number } = {},
  ): Deno.ChildProcess {
    // Without deno.json: it would look for packages, and there is no network here.
    const flags = ["run", "--quiet", "--no-check", "--no-config", "--no-lock", "--unstable-net", "--allow-all"];
    const command = [Deno.execPath(), ...flags, `${SUPPORT_DIR}${script}`, ...args];
    const pinned = options.cpu === undefined ? command : ["taskset", "-c", `${options.cpu}`, ...command];
    return this.spawn(side, pinned[0], pinned.slice(1), { stdin: options.stdin ?? "null", stderr: "inherit" });
  }

  /** Runs a script of this folder to its end. @returns its last line, parsed @throws when it fails */
  async runScript<T>(side: NetSide, script: string, args: string[], input = ""): Promise<T> {
    const child = this.spawnScript(side, script, args, { stdin: "piped" });
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { success, stdout } = await child.output();
    const line = new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) ?? "";
    if (!success) throw new Error(`Cannot run ${script}: it says ${line}`);
    return JSON.parse(line);
  }

  /** The interface's index in its namespace. */
  async ifindex(side: NetSide): Promise<number> {
    const [{ ifindex }] = JSON.parse(await this.run(side, "ip", ["-j", "link", "show", ENDS[side].iface]));
    return ifindex;
  }

  /** The kernel notices a carrier up to a second late, and announces its multicast groups then. */
  async #untilUp(side: NetSide): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const [{ operstate }] = JSON.parse(await this.run(side, "ip", ["-j", "link", "show", ENDS[side].iface]));
      if (operstate === "UP") return;
      await delay(30);
    }
    throw new Error(`Cannot go on: ${ENDS[side].iface} has no carrier`);
  }

  async counters(side: NetSide): Promise<DeviceCounters> {
    const text = await this.run(side, "cat", ["/proc/net/dev"]);
    const line = text.split("\n").find((line) => line.trim().startsWith(`${ENDS[side].iface}:`));
    if (line === undefined) throw new Error(`Cannot read the counters of ${ENDS[side].iface}: it is gone`);
    const fields = line.slice(line.indexOf(":") + 1).trim().split(/\s+/).map(Number);
    const [rxBytes, rxPackets, , rxDropped, , , , , txBytes, txPackets, , txDropped] = fields;
    return { rxBytes, rxPackets, rxDropped, txBytes, txPackets, txDropped };
  }

  /** Waits until neither end has moved a packet for a while. */
  async settle(quietMs = 150): Promise<void> {
    let before = "";
    for (let tries = 0; tries < 100; tries++) {
      const now = JSON.stringify([await this.counters("watched"), await this.counters("peer")]);
      if (now === before) return;
      before = now;
      await delay(quietMs);
    }
    throw new Error("Cannot go on: the test's interfaces do not fall silent");
  }

  /** Kills what still runs, then removes the namespaces with everything in them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended already.
      }
      for (const name of ["stdin", "stdout", "stderr"] as const) await closeQuietly(child, name);
      await child.status;
    }
    for (const side of SIDES) await output("ip", ["netns", "delete", this.#names[side]]).catch(() => {});
  }
}

/** Closes a stream that nobody took; one that was not piped throws when it is asked for. */
async function closeQuietly(child: Deno.ChildProcess, name: "stdin" | "stdout" | "stderr"): Promise<void> {
  try {
    if (name === "stdin") await child.stdin.close();
    else await child[name].cancel();
  } catch {
    // Not piped, closed, or in the hands of whoever reads it to its end.
  }
}
