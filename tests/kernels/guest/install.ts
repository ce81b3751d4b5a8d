/** `make install` as on a user's machine; everything after it runs what it installed. */
import { assertEquals, assertMatch } from "../../assert.ts";
import { output } from "../command.ts";
import { subject } from "./subject.ts";

export const install = subject({
  name: "install",
  limitSeconds: 120,
  async gather({ data, ebpfmon }) {
    await output("packaging/install", [], { cwd: `${data}/source` });
    return {
      mode: await output("stat", ["-c", "%a %U:%G", ebpfmon]),
      capabilities: await output("getcap", [ebpfmon]),
      unit: await output("systemctl", ["cat", "ebpfmon.service"]),
      version: await output(ebpfmon, ["--version"]),
    };
  },
  checks: {
    "the file has its group and its capabilities": ({ mode, capabilities }) => {
      assertEquals(mode.trim(), "750 root:ebpfmon");
      assertMatch(capabilities, /cap_net_admin,cap_perfmon,cap_bpf=ep/);
    },
    "systemd knows the unit": ({ unit }) => assertMatch(unit, /^ExecStart=\/usr\/local\/bin\/ebpfmon monitor/m),
    "the installed file starts": ({ version }) => assertMatch(version, /^ebpfmon \d/),
  },
});
