/**
 * A monitor that is killed leaves nothing in the kernel. Where egress goes through the clsact qdisc, a filter that does
 * nothing any more stays until `ebpfmon detach` or the next start.
 */
import { assert, assertEquals, assertGreater } from "../../assert.ts";
import { Cli } from "../../support/cli.ts";
import { ENDS, type TestNet } from "../../support/namespaces.ts";
import { kernelObjects, leftOver } from "./kernel_objects.ts";
import { testNet } from "./programs_run.ts";
import { subject } from "./subject.ts";

/** The program of such a filter, as bpftool names it. */
const IDLE_FILTER = /^prog \d+ sched_cls egress_clsact$/;

/** Lines about the filters of the watched interface. */
async function filtersOf(net: TestNet): Promise<string[]> {
  const shown = await Promise.all(
    ["ingress", "egress"].map((direction) =>
      net.run("watched", "tc", ["filter", "show", "dev", ENDS.watched.iface, direction]).catch(() => "")
    ),
  );
  return shown.join("\n").split("\n").filter((line) => line.trim() !== "");
}

export const kill = subject({
  name: "kill",
  limitSeconds: 120,
  async gather(guest) {
    const net = await testNet(guest);
    const { iface } = ENDS.watched;
    const before = await kernelObjects();
    const cli = new Cli(net, ["monitor", iface, "--json", "--listen", "off"]);
    const hook = (await cli.ready()).interfaces[0].egress;
    // Events come after the flows; where they cannot be watched an alert says so.
    await cli.until(({ type, alert }) => type === "health" || alert === "events_unavailable");
    const during = await kernelObjects();
    cli.kill("SIGKILL");
    const { signal } = await cli.result();
    const left = await leftOver(before);
    const filters = () => filtersOf(net);
    const filtersLeft = await filters();
    const link = await net.run("watched", "ip", ["-d", "link", "show", iface]);
    const detach = await new Cli(net, ["detach"]).result();
    const end = { left: await leftOver(before), filters: await filters() };
    const loaded = [...during].filter((object) => !before.has(object));
    return { loaded, signal, hook, left, filtersLeft, link, detach, end };
  },
  checks: {
    "it had loaded programs and attached them": ({ loaded, signal }) => {
      assertEquals(signal, "SIGKILL");
      // Two directions and what reads the clock, however little of the rest this kernel takes.
      assertGreater(loaded.length, 3);
    },
    "what counted is gone": ({ left }) => {
      assertEquals(left.filter((object) => !IDLE_FILTER.test(object)), []);
    },
    "nothing is attached to the interface, or one idle filter where there is no TCX": (evidence) => {
      const { left, filtersLeft, hook, link } = evidence;
      const idle = hook === "clsact" ? 1 : 0;
      assertEquals(left.length, idle, left.join("; "));
      assertEquals(
        filtersLeft.filter((line) => line.includes("bpf chain 0 handle")).length,
        idle,
        filtersLeft.join("\n"),
      );
      assert(!/\bxdp\b|prog\/xdp/.test(link), link);
    },
    "detach leaves nothing": ({ detach, end }) => {
      assertEquals(detach.code, 0, detach.stderr.join("\n"));
      assertEquals(end, { left: [], filters: [] });
    },
  },
});
