/** Machines that lack something: ebpfmon says so in one line where it matters, and everything else goes on. */
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "../../assert.ts";
import { Cli, type CliResult, type JsonObject } from "../../support/cli.ts";
import { ENDS } from "../../support/namespaces.ts";
import { output } from "../command.ts";
import { WITH_LITTLE_MEMLOCK, WITHOUT_BTF, WITHOUT_MOUNTS } from "./bad_day.ts";
import { testNet } from "./programs_run.ts";
import { type Guest, subject } from "./subject.ts";

const PINGS = 10;

/** A monitor of flows and events on such a day, with some traffic. */
async function monitorOn(guest: Guest, prefix: string[]): Promise<CliResult> {
  const net = await testNet(guest);
  const cli = new Cli(net, ["monitor", ENDS.watched.iface, "--json", "--listen", "off"], prefix);
  // Where it ends at once, its result says why.
  const ready = await cli.ready().then(() => true, () => false);
  if (ready) {
    await cli.until(({ type, alert }) => type === "health" || alert === "events_unavailable");
    await net.run("peer", "ping", ["-q", "-c", `${PINGS}`, "-i", "0.01", ENDS.watched.ipv4]);
    cli.kill("SIGINT");
  }
  return await cli.result();
}

function alertsOf({ objects }: CliResult): string[] {
  return objects.filter(({ type }) => type === "alert").map(({ message }) => message);
}

/** Flows are counted both ways, events come, and the end is a good one. */
function assertWatches(result: CliResult): void {
  assertEquals([result.code, result.stderr], [0, []]);
  const rows: JsonObject[] = result.objects.filter(({ type }) => type === "window").flatMap(({ top }) => top);
  const pings = rows.filter(({ proto }) => proto === "icmp").reduce((sum, { packets }) => sum + packets, 0);
  assertEquals(pings, 2 * PINGS);
  assertEquals(new Set(rows.map(({ direction }) => direction)), new Set(["ingress", "egress"]));
  assertGreater(result.objects.at(-1)!.records, 0, "no event came");
}

/** Either all is watched, or it ends with its code for what is missing and one line about it. */
function assertWatchesOrSaysWhy(result: CliResult, codes: number[], pattern: RegExp): void {
  if (result.code === 0) return assertWatches(result);
  assert(codes.includes(result.code), `exit code ${result.code}: ${result.stderr.join(" | ")}`);
  assertEquals(result.stderr.length, 1, result.stderr.join(" | "));
  assert(pattern.test(result.stderr[0]), result.stderr[0]);
}

export const badDays = subject({
  name: "bad-days",
  limitSeconds: 300,
  async gather(guest) {
    await output("sysctl", ["-q", "kernel.unprivileged_bpf_disabled=2"]).catch(() => {});
    const mounts = await monitorOn(guest, WITHOUT_MOUNTS);
    const btf = await monitorOn(guest, WITHOUT_BTF);
    const memlock = await monitorOn(guest, WITH_LITTLE_MEMLOCK);
    return { mounts, btf, memlock };
  },
  checks: {
    "without bpffs, tracefs and JIT setting, unprivileged BPF disabled, all is watched": ({ mounts }) => {
      assertWatches(mounts);
      assertEquals(alertsOf(mounts), []);
    },
    "without kernel BTF flows are counted, and events are watched": ({ btf }) => {
      assertWatches(btf);
      assertLessOrEqual(alertsOf(btf).filter((text) => text.includes("\n")).length, 0);
    },
    "with 64 KiB of locked memory all is watched, or one line says what to raise": ({ memlock }) => {
      assertWatchesOrSaysWhy(memlock, [1, 3, 4], /memlock|locked memory/i);
    },
  },
});
