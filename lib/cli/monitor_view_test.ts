import { assert, assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { ringCounters } from "../../tests/support/events.ts";
import { processWindow } from "../../tests/support/activity.ts";
import { flowRow, flowWindow, interfaceTraffic, RETRANSMITS } from "../../tests/support/windows.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { addWindow, emptyTotals, type Totals } from "../aggregate/flows/totals.ts";
import { type LiveState, renderLive, renderPiped, renderSummary } from "./monitor_view.ts";
import { displayWidth } from "../runtime/text.ts";

const TOP = [
  flowRow(),
  flowRow({
    src: "2001:db8:1234:5678:9abc:def0:1234:5678",
    dst: "fe80::1",
    proto: 17,
    direction: "egress",
    tcpFlags: 0,
  }),
  flowRow({ proto: 1, sport: 0, dport: 8 << 8, tcpFlags: 0, packets: 3 }),
];

function totalsOf(...windows: FlowWindow[]): Totals {
  const totals = emptyTotals();
  for (const window of windows) addWindow(totals, window);
  return totals;
}

function live(overrides: Partial<LiveState> = {}): LiveState {
  const window = overrides.window ?? flowWindow({ top: TOP });
  return {
    host: "box",
    interfaces: [{ name: "eth0", ifindex: 2, mode: "native", egress: "tcx" }],
    uptimeSeconds: 3723,
    window,
    totals: totalsOf(window),
    filter: "",
    listen: "127.0.0.1:9464",
    rings: null,
    activity: null,
    paused: false,
    alerts: [],
    ...overrides,
  };
}

const LOST = flowWindow({ interfaces: [interfaceTraffic({ seen: { packets: 103, bytes: 10_007 } })] });

Deno.test("renderLive() shows host, hooks, rates, accounting, flows, totals, health and keys", () => {
  const quiet = { packets: 0, bytes: 0 };
  const window = flowWindow({
    top: TOP,
    interfaces: [interfaceTraffic({ overflow: quiet, seen: { packets: 80, bytes: 8_000 } })],
  });
  assertEquals(renderLive(live({ window }), 120, 24, false), [
    "ebpfmon box · 1h 02m 03s · eth0 (native+tcx)",
    "in 80 pkt/s 64.0 kbit/s · out 0 pkt/s 0 bit/s · 2 flows",
    "✓ seen 80 = flows 70 + overflow 0 + other 10",
    "SOURCE                                            DESTINATION       PACKETS  PROTO         RATE  DIR   BYTES  FLAGS",
    "192.0.2.1:40000                                -> 198.51.100.2:443       60  tcp    52.0 kbit/s  in   6.5 kB  SA",
    "[2001:db8:1234:5678:9abc:def0:1234:5678]:40000 -> [fe80::1]:443          60  udp    52.0 kbit/s  out  6.5 kB",
    "192.0.2.1                                      -> 198.51.100.2            3  icmp   52.0 kbit/s  in   6.5 kB  8/0",
    "total 80 packets · 8.0 kB · 2 flow summaries · 1 windows",
    "map 0.0 % of 262.1 k · swap 1.2 ms · drain 3.4 ms · http://127.0.0.1:9464",
    "q quit · p pause · Ctrl-C",
  ]);
});

Deno.test("renderLive() never exceeds the terminal, at any size, with hostile and wide text, before the first window too", () => {
  const hostile = live({
    host: "ho\x1b[2Jst漢字🙂",
    filter: "iface \u202e",
    alerts: ["a\nb", "漢".repeat(200), "c", "d"],
    window: flowWindow({ top: Array(50).fill(TOP).flat() }),
  });
  for (const state of [hostile, live(), { ...live(), window: null }, live({ totals: totalsOf(LOST) })]) {
    for (const columns of [20, 21, 33, 40, 59, 60, 79, 80, 100, 132, 400]) {
      for (const rows of [1, 3, 4, 5, 6, 7, 8, 10, 24, 60, 200]) {
        const lines = renderLive(state, columns, rows, false);
        assert(lines.length <= rows, `${lines.length} lines in ${rows}`);
        for (const line of lines) {
          assert(displayWidth(line) <= columns, `${displayWidth(line)} > ${columns}: ${line}`);
          // deno-lint-ignore no-control-regex
          assert(!/[\x00-\x1f\u202e]/.test(line), line);
        }
      }
    }
  }
});

Deno.test("renderLive() in 20 columns and 5 rows keeps accounting, the newest alert and the keys", () => {
  const lines = renderLive(live({ alerts: ["old", "new"] }), 20, 5, false);
  assertEquals(lines.length, 5);
  assertStringIncludes(lines[2], "✓ seen 200");
  assertEquals(lines.slice(3), ["! old", "! new"]);
  assertStringIncludes(renderLive(live(), 20, 5, false)[4], "q quit");
});

Deno.test("renderLive() gives the table the rows that are left, and fills a tall terminal", () => {
  const state = live({ window: flowWindow({ top: Array(100).fill(TOP[0]) }) });
  for (const rows of [8, 24, 50]) {
    const lines = renderLive(state, 100, rows, false);
    assertEquals(lines.length, rows);
    assertEquals(lines.filter((line) => line.startsWith("192.0.2.1:40000")).length, rows - 7);
  }
});

Deno.test("renderLive() drops the less important columns first on a narrow terminal", () => {
  const titles = (columns: number) => renderLive(live(), columns, 24, false)[3].split(/ +/);
  assertEquals(titles(80), ["SOURCE", "DESTINATION", "PACKETS", "PROTO", "RATE", "DIR"]);
  assertEquals(titles(62), ["SOURCE", "DESTINATION", "PACKETS", "PROTO"]);
  assertEquals(titles(40), ["SOURCE", "DESTINATION", "PACKETS"]);
});

Deno.test("renderLive() names the interface of each flow only where there are several", () => {
  const two = [interfaceTraffic(), interfaceTraffic({ iface: "eth1" })];
  assert(!renderLive(live(), 200, 24, false)[3].includes("IFACE"));
  assertStringIncludes(renderLive(live({ window: flowWindow({ interfaces: two }) }), 200, 24, false)[3], "IFACE");
});

Deno.test("renderLive() is loud about packets that are not accounted for", () => {
  const [, , line] = renderLive(live({ totals: totalsOf(LOST) }), 120, 24, true);
  assertEquals(
    line,
    "\x1b[1;37;41mMISMATCH seen differs from flows + overflow + other by 3 packets, 7 bytes\x1b[0m",
  );
});

Deno.test("renderLive() says that it waits, is paused, and filters", () => {
  assertEquals(renderLive({ ...live(), window: null }, 80, 24, false)[1], "waiting for the first window");
  assertEquals(renderLive(live({ paused: true }), 80, 24, false).at(-1), "PAUSED · q quit · p resume · Ctrl-C");
  assertStringIncludes(renderLive(live({ filter: "tcp" }), 80, 24, false)[0], "filter: tcp");
});

Deno.test("renderLive() writes escape sequences only with colour, and they do not change the text", () => {
  const plain = renderLive(live({ alerts: ["x"] }), 80, 24, false);
  const coloured = renderLive(live({ alerts: ["x"] }), 80, 24, true);
  assert(coloured.some((line) => line.includes("\x1b[")));
  // deno-lint-ignore no-control-regex
  assertEquals(coloured.map((line) => line.replace(/\x1b\[[\d;]*m/g, "")), plain);
});

Deno.test("renderPiped() prints the window as the source lab does", () => {
  assertEquals(
    renderPiped(flowWindow({ top: TOP.slice(0, 1) }), { filter: "", topMax: 10 }),
    `=== Aggregated Flow Summary ===
Window: 1.00 s
Flows: 2
Packets: 140 (avg 70.0 per flow)
Bytes: 14000 (avg 100.0 per packet)
Other: 20 packets, 2000 bytes (non_ip 8, truncated 6, malformed 4, fragment 2)
WARNING: flow map full: 40 packets in overflow; raise --max-flows

=== Top 10 Flows by Packets ===
SOURCE           DESTINATION       PROTO  DIR  IFACE  PACKETS  BYTES  FLAGS
192.0.2.1:40000  198.51.100.2:443  tcp    in   eth0        60   6500  SA

`,
  );
});

Deno.test("renderPiped() of silence divides by nothing and warns of nothing", () => {
  const text = renderPiped(flowWindow({ flows: 0, interfaces: [], top: [] }), { filter: "", topMax: 10 });
  assertStringIncludes(
    text,
    "\nPackets: 0 (avg 0.0 per flow)\nBytes: 0 (avg 0.0 per packet)\nOther: 0 packets, 0 bytes\n",
  );
  assert(text.endsWith("\nnone\n\n") && !text.includes("WARNING"));
});

Deno.test("renderPiped() says what the filter matched, and what is not accounted for", () => {
  const text = renderPiped(LOST, { filter: "tcp", topMax: 10 });
  assertStringIncludes(text, "\nMatched: 1 flows, 60 packets, 6500 bytes\n");
  assertStringIncludes(text, "\nWARNING: seen differs from flows + overflow + other by 3 packets, 7 bytes\n");
});

Deno.test("renderSummary() totals the run and confirms the accounting", () => {
  const all = flowWindow({ matched: { flows: 2, packets: 140, bytes: 14_000 } });
  assertEquals(
    renderSummary(totalsOf(all, all)),
    `=== Summary ===
Windows: 2
Seen: 400 packets, 40000 bytes
Flows: 280 packets, 28000 bytes in 4 flow summaries
Overflow: 80 packets, 8000 bytes
Other: 40 packets, 4000 bytes (non_ip 16, truncated 12, malformed 8, fragment 4)
Accounting: seen = flows + overflow + other
`,
  );
});

Deno.test("renderSummary() says what a filter left out, and what is not accounted for", () => {
  const text = renderSummary(totalsOf(LOST));
  assertStringIncludes(text, "\nMatched: 60 packets, 6500 bytes in 1 flow summaries\n");
  assertStringIncludes(text, "\nWARNING: seen differs from flows + overflow + other by 3 packets, 7 bytes\n");
});

Deno.test("renderLive() has a line for the event rings, loud when they drop, and leaves it out where it is tight", () => {
  const ring = (name: "critical" | "debug", dropped: bigint) => ringCounters(name, { submitted: 1200n, dropped });
  const quiet = renderLive(live({ rings: { rings: [ring("critical", 0n)] } }), 100, 24, false);
  assert(quiet.some((line) => line.startsWith("events: critical 1.2 k")), quiet.join("\n"));
  const loud = renderLive(live({ rings: { rings: [ring("debug", 300n)] } }), 100, 24, true);
  assert(loud.some((line) => line.includes("300 (20.0 %) dropped") && line.startsWith("\x1b[")), loud.join("\n"));
  const tight = renderLive(live({ rings: { rings: [ring("critical", 0n)] } }), 100, 6, false);
  assert(!tight.some((line) => line.startsWith("events:")));
});

const OWNED = flowWindow({
  top: [flowRow({ pid: 1234, comm: "ngi\x1bnx", exe: "/usr/sbin/nginx", container: "", podUid: "" }), flowRow()],
  attribution: {
    attributed: { packets: 60, bytes: 6_500 },
    unattributed: { packets: 60, bytes: 6_500 },
    unasked: { packets: 0, bytes: 0 },
  },
});

Deno.test("renderLive() names the process of each flow, and how many of the bytes have one", () => {
  const lines = renderLive(live({ window: OWNED }), 80, 24, false);
  assertStringIncludes(lines[1], "50 % owned");
  assertEquals(lines.slice(3, 6), [
    "SOURCE             DESTINATION       PACKETS  PROTO  COMMAND                RATE",
    "192.0.2.1:40000 -> 198.51.100.2:443       60  tcp    ngi\\x1bnx/1234  52.0 kbit/s",
    "192.0.2.1:40000 -> 198.51.100.2:443       60  tcp                    52.0 kbit/s",
  ]);
});

Deno.test("renderLive() shows the processes with the most calls below the flows, in a third of the room", () => {
  const lines = renderLive(live({ window: OWNED, activity: processWindow() }), 80, 24, false);
  const at = lines.findIndex((line) => line.includes("CALLS/s"));
  assertEquals(at, 7);
  assertEquals(lines[at - 1], "calls seen 120 = counted 100 + overflow 20");
  assertStringIncludes(lines[at + 1], "nginx");
  const sampled = renderLive(live({ activity: processWindow({ sampling: 8 }) }), 80, 24, false);
  assert(sampled.some((line) => line.endsWith("one of 8 counted: estimates")));
  assert(!renderLive(live({ activity: processWindow() }), 80, 10, false).some((line) => line.includes("CALLS/s")));
});

Deno.test("renderPiped() has a column for processes where any is known", () => {
  const text = renderPiped(OWNED, { filter: "", topMax: 10 });
  assertStringIncludes(text, "FLAGS  COMMAND\n");
  assertStringIncludes(text, "SA     ngi\\x1bnx/1234\n");
});

Deno.test("renderPiped() has a column for retransmits where flows are ranked by them, and says how many met a flow", () => {
  const retransmits = RETRANSMITS;
  const window = flowWindow({ top: [flowRow({ retransmits: 6 })], retransmits });
  const lines = (order: "packets" | "retransmits") => renderPiped(window, { filter: "", topMax: 1, order }).split("\n");
  const said = "Retransmits: 10 segments, 6 of flows, 3 of none, 1 without room, and 4 of flows of other namespaces";
  assert(lines("packets").includes(said));
  assert(renderSummary(totalsOf(window)).includes(said));
  assert(!lines("packets").some((line) => line.includes("RETRANS")));
  assert(lines("retransmits").includes("=== Top 1 Flows by Retransmits ==="));
  assert(lines("retransmits").some((line) => line.includes("6 (10.0 %)")));
  assert(
    renderLive(live({ window, order: "retransmits" }), 120, 24, false).some((line) => line.includes("6 (10.0 %)")),
  );
});

Deno.test("renderPiped() marks estimates and names the networks of the overflow", () => {
  const prefix = (n: number) => ({
    iface: "eth0",
    direction: "ingress" as const,
    prefix: `192.0.${n}.0/24`,
    packets: 10 - n,
    bytes: 100,
  });
  const window = flowWindow({
    top: [flowRow(), flowRow({ packets: 7, bytes: 700, errorPackets: 2, errorBytes: 200 })],
    overflow: {
      estimates: [],
      prefixes: [0, 1, 2, 3, 4, 5].map(prefix),
      prefixCount: 9,
      rest: { packets: 3, bytes: 300 },
    },
  });
  const text = renderPiped(window, { filter: "", topMax: 10, order: "bytes" });
  assertStringIncludes(
    text,
    "Overflow by network: 192.0.0.0/24 10, 192.0.1.0/24 9, 192.0.2.0/24 8, 192.0.3.0/24 7, 192.0.4.0/24 6, 4 more, others 3\n",
  );
  assertStringIncludes(text, "=== Top 10 Flows by Bytes ===");
  const [exact, estimate] = text.trimEnd().split("\n").slice(-2);
  assert(!exact.includes("~"));
  assert(/ ~7 +~700 /.test(estimate), estimate);
});
