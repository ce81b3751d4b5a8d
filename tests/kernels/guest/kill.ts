/** A monitor that is killed leaves nothing in the kernel. */
import { assert, assertEquals, assertGreater } from "../../assert.ts";
import { Cli } from "../../support/cli.ts";
import { ENDS } from "../../support/namespaces.ts";
import { kernelObjects, leftOver } from "./kernel_objects.ts";
import { testNet } from "./programs_run.ts";
import { subject } from "./subject.ts";

export const kill = subject({
  name: "kill",
  limitSeconds: 120,
  async gather(guest) {
    const net = await testNet(guest);
    const { iface } = ENDS.watched;
    const before = await kernelObjects();
    const cli = new Cli(net, ["monitor", iface, "--json", "--listen", "off"]);
    await cli.ready();
    // Events come after the flows; where they cannot be watched an alert says so.
    await cli.until(({ type, alert }) => type === "health" || alert === "events_unavailable");
    const during = await kernelObjects();
    cli.kill("SIGKILL");
    const { signal } = await cli.result();
    const left = await leftOver(before);
    const filters = [];
    for (const direction of ["ingress", "egress"]) {
      filters.push(await net.run("watched", "tc", ["filter", "show", "dev", iface, direction]).catch(() => ""));
    }
    const link = await net.run("watched", "ip", ["-d", "link", "show", iface]);
    return { loaded: [...during].filter((object) => !before.has(object)), signal, left, filters, link };
  },
  checks: {
    "it had loaded programs and attached them": ({ loaded, signal }) => {
      assertEquals(signal, "SIGKILL");
      // Two directions and what reads the clock, however little of the rest this kernel takes.
      assertGreater(loaded.length, 3);
    },
    "no program and no link is left": ({ left }) => assertEquals(left, []),
    "nothing is attached to the interface": ({ filters, link }) => {
      assertEquals(filters.map((text) => text.trim()), ["", ""]);
      assert(!/\bxdp\b|prog\/xdp/.test(link), link);
    },
  },
});
