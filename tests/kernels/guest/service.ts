/** ebpfmon.service under systemd: the unprivileged user and the capabilities that the unit gives it. */
import { assert, assertEquals, assertGreaterOrEqual } from "../../assert.ts";
import { output } from "../command.ts";
import { delay } from "../../../lib/runtime/timers.ts";
import { kernelObjects, leftOver } from "./kernel_objects.ts";
import { subject } from "./subject.ts";

const PINGS = 50;
const START_LIMIT_MS = 90_000;
const METRICS_LIMIT_MS = 45_000;
const ADDRESS = "http://127.0.0.1:9464";
const NAMESPACE = "outside";

/** The unit watches the interface of the default route: one whose other end is in a namespace. */
async function makeUplink(): Promise<void> {
  const commands = [
    `netns add ${NAMESPACE}`,
    `link add uplink0 type veth peer name far0 netns ${NAMESPACE}`,
    "address add 192.0.2.11/24 dev uplink0",
    "link set uplink0 up",
    `-n ${NAMESPACE} address add 192.0.2.10/24 dev far0`,
    `-n ${NAMESPACE} link set far0 up`,
    "route add default via 192.0.2.10",
  ];
  for (const command of commands) await output("ip", command.split(" "));
}

async function show(...properties: string[]): Promise<Record<string, string>> {
  const text = await output("systemctl", ["show", "ebpfmon.service", `--property=${properties.join()}`]);
  return Object.fromEntries(text.trim().split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

/** @returns the answer's text; null where nobody answers, or not with 200 */
async function get(path: string): Promise<string | null> {
  try {
    const response = await fetch(ADDRESS + path);
    const text = await response.text();
    return response.ok ? text : null;
  } catch {
    return null;
  }
}

/** Waits until its programs are attached, which is after it listens. @throws with what systemd says of the unit */
async function untilReady(): Promise<void> {
  const deadlineMs = performance.now() + START_LIMIT_MS;
  while (await get("/readyz") === null) {
    const { ActiveState, Result } = await show("ActiveState", "Result");
    if (ActiveState === "failed" || performance.now() > deadlineMs) {
      const log = await output("journalctl", ["-u", "ebpfmon", "-o", "cat", "--no-pager", "-n", "5"]).catch(() => "");
      throw new Error(
        `Cannot see ${ADDRESS}/readyz answer with 200: the unit is ${ActiveState}, ${Result}; ${log.trim()}`,
      );
    }
    await delay(1_000);
  }
}

/** Sum of a family over all label sets that contain `labels`. */
function total(text: string, family: string, labels: string): number {
  const rows = text.split("\n").filter((line) => line.startsWith(`${family}{`) && line.includes(labels));
  return rows.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

const DIRECTIONS = ["ingress", "egress"];
const packets = (text: string, direction: string) => total(text, "ebpfmon_packets_total", `direction="${direction}"`);
const events = (text: string) => total(text, "ebpfmon_events_total", "");

/** Metrics follow the end of a window and the start of the events. @returns the last page, wanted or not */
async function pageWith(wanted: (text: string) => boolean): Promise<string> {
  const deadlineMs = performance.now() + METRICS_LIMIT_MS;
  for (;;) {
    const text = await get("/metrics") ?? "";
    if (wanted(text) || performance.now() > deadlineMs) return text;
    await delay(1_000);
  }
}

async function statusOf(pid: string): Promise<{ uids: string[]; effective: string }> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)![1];
  return { uids: field("Uid").split(/\s+/), effective: field("CapEff") };
}

export const service = subject({
  name: "service",
  limitSeconds: 240,
  async gather({ owned }) {
    await makeUplink();
    owned.defer(() => output("ip", ["netns", "delete", NAMESPACE]).then(() => {}));
    const before = await kernelObjects();
    await output("systemctl", ["start", "ebpfmon.service"]);
    owned.defer(() => output("systemctl", ["stop", "ebpfmon.service"]).then(() => {}));
    await untilReady();
    const { MainPID } = await show("MainPID");
    const status = await statusOf(MainPID);
    await output("ip", ["netns", "exec", NAMESPACE, "ping", "-q", "-c", `${PINGS}`, "-i", "0.01", "192.0.2.11"]);
    const page = await pageWith((text) =>
      DIRECTIONS.every((direction) => packets(text, direction) >= PINGS) && events(text) > 0
    );
    await output("systemctl", ["stop", "ebpfmon.service"]);
    const ended = await show("Result", "ExecMainStatus", "ExecMainCode", "NRestarts");
    return {
      status,
      page,
      ended,
      left: await leftOver(before),
      link: await output("ip", ["-d", "link", "show", "uplink0"]),
    };
  },
  checks: {
    "it runs as a user of its own with three capabilities": ({ status }) => {
      assert(status.uids.every((uid) => uid !== "0"), status.uids.join());
      // CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF: 12, 38, 39.
      assertEquals(BigInt(`0x${status.effective}`), 1n << 12n | 1n << 38n | 1n << 39n);
    },
    "/metrics has the packets of the interface, both directions": ({ page }) => {
      for (const direction of DIRECTIONS) {
        assert(packets(page, direction) >= PINGS, `${direction}: ${packets(page, direction)} of ${PINGS}`);
      }
    },
    "/metrics has events": ({ page }) => {
      assertGreaterOrEqual(events(page), 1, page.slice(0, 300));
    },
    "systemctl stop ends it well": ({ ended }) => {
      assertEquals([ended.Result, ended.ExecMainStatus, ended.NRestarts], ["success", "0", "0"]);
    },
    "nothing is left in the kernel": ({ left, link }) => {
      assertEquals(left, []);
      assert(!/prog\/xdp/.test(link), link);
    },
  },
});
