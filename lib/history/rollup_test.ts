import { assert, assertEquals } from "../../tests/assert.ts";
import { DAY_START_NS, madeWindow, NS_PER_S } from "../../tests/support/history_windows.ts";
import { Random } from "../../tests/support/random.ts";
import { flowRow, flowWindow, interfaceTraffic } from "../../tests/support/windows.ts";
import { parseCidr } from "../net/address.ts";
import { type FlowOwner, levelOf, type LevelRow } from "./levels.ts";
import type { FlowRow } from "../aggregate/windows/flow_window.ts";
import { GROUPINGS, isIn, Rollup } from "./rollup.ts";

const SEED = Random.freshSeed();
const NETWORKS = ["10.0.0.0/8", "10.1.0.0/16", "2001:db8:3::/48", "0.0.0.0/1"].map((text) => parseCidr(text)!);

function rowsOf(...flows: (Partial<FlowRow> & FlowOwner)[]): LevelRow[] {
  const much = { packets: 1e6, bytes: 1e9 };
  const interfaces = ["ingress", "egress"] as const;
  return levelOf(
    flowWindow({
      interfaces: interfaces.map((direction) => interfaceTraffic({ direction, flows: much })),
      top: flows.map((flow) => ({ ...flowRow(), ...flow })),
    }),
    100,
  ).rows;
}

function labels(by: typeof GROUPINGS[number], rows: LevelRow[], networks = [] as typeof NETWORKS): string[] {
  const rollup = new Rollup(by, { networks });
  return rows.map((row) => rollup.add(row).label);
}

Deno.test("every roll-up equals the sum of its flows, and each group opened again equals its own", () => {
  const random = new Random(SEED);
  const shape = { startUnixNs: DAY_START_NS, lengthNs: NS_PER_S, sequence: 0, flows: 400, topMax: 400, pool: 900 };
  const { rows } = levelOf(madeWindow(random, shape).window, 400);
  const total = (of: { packets: bigint; bytes: bigint }[]) => [
    of.reduce((sum, it) => sum + it.packets, 0n),
    of.reduce((sum, it) => sum + it.bytes, 0n),
  ];
  for (const by of GROUPINGS) {
    for (const networks of by === "net" ? [[], NETWORKS] : [[]]) {
      const rollup = new Rollup(by, { networks });
      for (const row of rows) rollup.add(row);
      const groups = rollup.groups();
      assertEquals(total(groups), total(rows), `${by}, seed ${SEED}`);
      assertEquals(new Set(groups.map(({ label }) => label)).size, groups.length, `${by}, seed ${SEED}`);
      for (const group of groups) {
        const opened = rows.filter(isIn(by, group.label, { networks }));
        assertEquals(total(opened), [group.packets, group.bytes], `${by} ${group.label}, seed ${SEED}`);
      }
    }
  }
});

Deno.test("net is the far end's: the source of what comes in, the destination of what goes out", () => {
  const rows = rowsOf(
    { src: "192.0.2.200", dst: "10.9.8.7" },
    { src: "10.9.8.7", dst: "192.0.2.1", direction: "egress" },
    { src: "2001:db8:1:2::3", dst: "2001:db8:9::1" },
    { src: "2001:db8:1:ffff::", dst: "::" },
  );
  assertEquals(labels("net", rows), ["192.0.2.0/24", "192.0.2.0/24", "2001:db8:1::/48", "2001:db8:1::/48"]);
});

Deno.test("of the networks named the longest that matches counts, and the others are elsewhere", () => {
  const rows = rowsOf({ src: "10.1.2.3" }, { src: "10.2.2.3" }, { src: "127.0.0.1" }, { src: "192.0.2.1" }, {
    src: "2001:db8:3::1",
    dst: "::1",
  });
  assertEquals(labels("net", rows, NETWORKS), [
    "10.1.0.0/16",
    "10.0.0.0/8",
    "0.0.0.0/1",
    "(elsewhere)",
    "2001:db8:3::/48",
  ]);
});

Deno.test("port is the service's, and protocols without ports are groups of their own", () => {
  const rows = rowsOf(
    { sport: 40_000, dport: 443 },
    { sport: 53, dport: 50_000, proto: 17 },
    { proto: 1, sport: 0, dport: 8 << 8 },
    { proto: 47, sport: 0, dport: 0 },
  );
  assertEquals(labels("port", rows), ["443/tcp", "53/udp", "icmp", "gre"]);
  assertEquals(labels("proto", rows), ["tcp", "udp", "icmp", "gre"]);
});

Deno.test("process and container say what is not known", () => {
  const rows = rowsOf(
    { pid: 7, comm: "curl" },
    { comm: "curl" },
    { pid: 7 },
    {},
    { container: "abc" },
    { container: "" },
  );
  assertEquals(labels("process", rows), ["curl (7)", "curl", "? (7)", "(unknown)", "(unknown)", "(unknown)"]);
  assertEquals(labels("container", rows).slice(3), ["(unknown)", "abc", "(none)"]);
});

Deno.test("a group with estimates in it has their bounds, added up, and others have none", () => {
  const [exact] = rowsOf({ packets: 10, bytes: 100 });
  const rollup = new Rollup("src");
  rollup.add(exact);
  assertEquals(rollup.groups(), [{ label: "192.0.2.1", packets: 10n, bytes: 100n }]);
  for (const errorPackets of [2n, 0n]) rollup.add({ ...exact, errorPackets, errorBytes: 7n });
  assertEquals(rollup.groups(), [
    { label: "192.0.2.1", packets: 30n, bytes: 300n, errorPackets: 2n, errorBytes: 14n },
  ]);
});

Deno.test("groups are ranked by packets or bytes, equal ones by name", () => {
  const rollup = new Rollup("src");
  const rows = rowsOf(
    { src: "192.0.2.1", packets: 5, bytes: 500 },
    { src: "192.0.2.2", packets: 9, bytes: 400 },
    { src: "192.0.2.0", packets: 5, bytes: 500 },
  );
  for (const row of rows) rollup.add(row);
  assertEquals(rollup.groups().map(({ label }) => label), ["192.0.2.2", "192.0.2.0", "192.0.2.1"]);
  assertEquals(rollup.groups("bytes").map(({ label }) => label), ["192.0.2.0", "192.0.2.1", "192.0.2.2"]);
  assert(labels("flow", rows)[0].startsWith("tcp 192.0.2.1 40000 > 198.51.100.2 443 eth0 ingress"));
});
