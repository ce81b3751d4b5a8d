import { assert, assertEquals, assertMatch, assertStringIncludes } from "../../tests/assert.ts";
import { DAY_START_NS, NS_PER_S } from "../../tests/support/history_windows.ts";
import { levelOf, noClasses } from "../history/levels.ts";
import { flowRow, flowWindow } from "../../tests/support/windows.ts";
import { jsonLine } from "../export/json_lines.ts";
import type { FlowsAnswer, RangeSummary, SeriesAnswer, TopAnswer } from "../history/query.ts";
import { chart, sparkline } from "./history_chart.ts";
import { csv, flowObjects, flowsCells, seriesCells, seriesObjects, topCells, topObjects } from "./history_export.ts";
import { renderFlows, renderNothing, renderSeries, renderTop } from "./history_view.ts";
import { displayWidth } from "../runtime/text.ts";

const HOSTILE = '=\x1b[2J\u202e,"\n';
const RANGE = { fromNs: DAY_START_NS, toNs: DAY_START_NS + 600n * NS_PER_S };
const STAMP = { unixNs: DAY_START_NS, host: "h" };
const none = { packets: 0n, bytes: 0n };

function summary(): RangeSummary {
  return {
    range: RANGE,
    found: RANGE,
    coveredNs: 599n * NS_PER_S,
    windows: { "1m": 9, "1s": 60 },
    flows: 1_234n,
    classes: {
      ...noClasses(),
      seen: { packets: 1_000n, bytes: 100_000n },
      flows: { packets: 900n, bytes: 90_000n },
      overflow: { packets: 60n, bytes: 6_000n },
      non_ip: { packets: 30n, bytes: 3_000n },
      fragment: { packets: 10n, bytes: 1_000n },
      rest: { packets: 300n, bytes: 30_000n },
    },
    estimated: { ...none },
    selected: { packets: 600n, bytes: 60_000n },
    floorPackets: 12n,
  };
}

const TOP: TopAnswer = {
  summary: summary(),
  groups: [{ label: "192.0.2.1", packets: 500n, bytes: 50_000n }, { label: HOSTILE, packets: 60n, bytes: 6_000n }],
  beyond: { count: 3, packets: 40n, bytes: 4_000n },
};

Deno.test("renderTop() lists groups, and what is in none of them, up to all that was seen", () => {
  assertEquals(
    renderTop(TOP, "src", "packets"),
    `2026-01-02T00:00:00Z to 2026-01-02T00:10:00Z · counted 9m 59s · windows: 60 of 1s, 9 of 1m

SRC                   PACKETS     BYTES    SHARE
192.0.2.1                 500   50.0 kB   50.0 %
=\\x1b[2J\\u202e,"\\x0a       60    6.0 kB    6.0 %
… 3 more groups            40    4.0 kB    4.0 %
… flows not named         300   30.0 kB   30.0 %
… overflow not named       60    6.0 kB    6.0 %
… in no flow               40    4.0 kB    4.0 %
seen                    1.0 k  100.0 kB  100.0 %

A flow may have had up to 72 packets more, in windows or an overflow that do not name it.
`,
  );
});

/** Fifty packets of the overflow are named, in a group with flows that had room. */
function topWithEstimates(): TopAnswer {
  const errors = { errorPackets: 7n, errorBytes: 700n };
  const part = { packets: 50n, bytes: 5_000n, ...errors };
  const [first, second] = TOP.groups;
  return {
    summary: { ...summary(), estimated: part, selected: { packets: 650n, bytes: 65_000n, ...errors } },
    groups: [{ ...first, packets: 550n, bytes: 55_000n, ...errors }, second],
    beyond: TOP.beyond,
  };
}

Deno.test("what estimates are in is marked, and what they name is in the overflow no more", () => {
  const lines = renderTop(topWithEstimates(), "src", "packets").split("\n");
  assertMatch(lines[3], /^192\.0\.2\.1 +~550 +~55\.0 kB +55\.0 %$/);
  assert(!lines[4].includes("~"));
  assertMatch(lines[7], /^… overflow not named +10 +1\.0 kB +1\.0 %$/);
  assertEquals(lines.slice(-2), [
    "~ Flows without room in the map are estimated: at least so much, and for that up to 7 packets more.",
    "",
  ]);
  const cells = topCells(topWithEstimates());
  assertEquals(cells[1], ["group", "192.0.2.1", 550n, 55_000n, 7n, 700n]);
  assertEquals(cells.slice(1).reduce((sum, [, , packets]) => sum + Number(packets), 0), 1_000);

  const [group, exact, sums] = topObjects(STAMP, topWithEstimates(), "src");
  assertEquals([group.estimate, group.error_packets, group.error_bytes], [true, 7n, 700n]);
  assert(!("estimate" in exact) && !("error_packets" in exact));
  const { overflow_packets, estimated_packets, selected_error_packets } = sums;
  assertEquals([overflow_packets, estimated_packets, selected_error_packets], [60n, 50n, 7n]);
});

Deno.test("a flow of the history that is an estimate says so in every form", () => {
  const answer = flows();
  const [flow] = answer.flows;
  answer.flows.push({ ...flow, sport: 1, errorPackets: 5n, errorBytes: 0n });
  const [, , titles, exact, estimate] = renderFlows(answer, "packets").split("\n");
  assert(titles.startsWith("PROTO") && !exact.includes("~"));
  assertMatch(estimate, / ~60 +~6\.0 kB /);
  const [columns, ...rows] = flowsCells(answer);
  const errorsAt = columns.indexOf("error_packets");
  assertEquals(rows.map((row) => row.slice(errorsAt)), [["", ""], [5n, 0n]]);
  const objects = flowObjects(STAMP, answer);
  assertEquals(objects.slice(0, 2).map((it) => [it.estimate, it.error_packets]), [[undefined, undefined], [true, 5n]]);
});

Deno.test("an answer whose rows are all there is says nothing of a bound", () => {
  const all = summary();
  all.classes.rest = { ...none };
  all.classes.overflow = { ...none };
  all.floorPackets = 0n;
  const text = renderTop({ ...TOP, summary: all, beyond: { count: 0, ...none } }, "src", "bytes");
  assert(!text.includes("more") && !text.includes("flows not named"), text);
});

Deno.test("renderNothing() says what the store does hold", () => {
  assertEquals(
    renderNothing(summary(), RANGE),
    "Nothing was counted from 2026-01-02T00:00:00Z to 2026-01-02T00:10:00Z; " +
      "the store holds 2026-01-02T00:00:00Z to 2026-01-02T00:10:00Z.\n",
  );
  assertStringIncludes(renderNothing(summary(), null), "; the store is empty.");
});

function series(): SeriesAnswer {
  const points = [0n, 1n, 9n].map((minute) => ({
    startNs: DAY_START_NS + minute * 60n * NS_PER_S,
    coveredNs: 60n * NS_PER_S,
    classes: { ...noClasses(), seen: { packets: 600n * (minute + 1n), bytes: 75_000n * (minute + 1n) } },
    selected: { packets: minute, bytes: minute },
  }));
  const traffic = [{ packets: 1n, bytes: 1n }, { ...none }, { packets: 8n, bytes: 8n }];
  return {
    summary: summary(),
    stepNs: 60n * NS_PER_S,
    points,
    groups: [{ label: HOSTILE, packets: 9n, bytes: 9n, traffic }],
  };
}

Deno.test("renderSeries() draws a column a step, gaps left blank, with rates beside it", () => {
  const lines = renderSeries(series(), { rank: "packets", selective: false }).split("\n");
  assertEquals(lines[2], "100 packets/s │         █");
  assertEquals(lines[9], "  0 packets/s │▆█       █");
  assertMatch(lines.find((line) => line.startsWith("="))!, /x0a {2}▁ {8}█ +9 +9 B +0\.9 %$/);
  assertStringIncludes(lines.join("\n"), "seen: 1.0 k packets, 100.0 kB");
  const chosen = renderSeries(series(), { rank: "bytes", selective: true });
  assertStringIncludes(chosen, "selected: 600 packets, 60.0 kB");
  assertStringIncludes(chosen, "bit/s │");
});

Deno.test("a long series is drawn in columns of equal time", () => {
  const range = { fromNs: DAY_START_NS + 17n, toNs: DAY_START_NS + 86_400n * NS_PER_S };
  const stepNs = 60n * NS_PER_S;
  const points = Array.from({ length: 1_440 }, (_, i) => ({
    startNs: DAY_START_NS + BigInt(i) * stepNs,
    coveredNs: stepNs,
    classes: { ...noClasses(), seen: { packets: 60n, bytes: 60n } },
    selected: none,
  }));
  const answer = { ...series(), summary: { ...summary(), range }, stepNs, points, groups: [] };
  const lines = renderSeries(answer, { rank: "packets", selective: false }).split("\n");
  assertEquals(lines[2], `1 packets/s │${"█".repeat(72)}`);
});

Deno.test("chart() shows the least there is, and nothing where there is nothing", () => {
  assertEquals(sparkline([0, 1, 50, 100]), " ▁▄█");
  assertEquals(sparkline([0, 0]), "  ");
  assertEquals(sparkline([]), "");
  assertEquals(chart([0, 1, 8, 16, 12], 2), ["   █▄", " ▁███"]);
});

function flows(): FlowsAnswer {
  const much = { packets: 60, bytes: 6_000 };
  const [row] = levelOf(flowWindow({ top: [flowRow({ ...much, src: "2001:db8::1", dst: "::1" })] }), 1).rows;
  const flow = { ...row, comm: HOSTILE, pid: 7, firstNs: RANGE.fromNs, lastNs: RANGE.toNs };
  return { summary: summary(), flows: [flow], beyond: { count: 0, ...none } };
}

Deno.test("renderFlows() shows a flow a line, with the time in which it was named", () => {
  const lines = renderFlows(flows(), "packets").split("\n");
  assertMatch(lines[2], /^PROTO +SOURCE +DESTINATION +IFACE +DIR +FLAGS +PROCESS +FIRST +LAST +PACKETS +BYTES +SHARE$/);
  assertStringIncludes(lines[3], "tcp    [2001:db8::1]:40000  [::1]:443    eth0   in   SA     =\\x1b");
  assert(lines.every((line) => displayWidth(line) < 200));
});

Deno.test("CSV quotes, adds up, and lets no name be a formula or end a line", () => {
  assertEquals(
    csv(topCells(TOP)),
    [
      "kind,group,packets,bytes,error_packets,error_bytes",
      "group,192.0.2.1,500,50000,,",
      `group,"'=\\x1b[2J\\u202e,""\\x0a",60,6000,,`,
      "beyond,,40,4000,,",
      "unnamed,,300,30000,,",
      "overflow,,60,6000,,",
      "other,,40,4000,,",
      "",
    ].join("\r\n"),
  );
  const numbers = topCells(TOP).slice(1).reduce((sum, [, , packets]) => sum + Number(packets), 0);
  assertEquals(numbers, 1_000);
  assertEquals(
    csv(flowsCells(flows())).split("\r\n")[1].slice(0, 57),
    "eth0,ingress,2001:db8::1,::1,40000,443,tcp,60,6000,SA,202",
  );
  assertEquals(seriesCells(series(), true).length, 4);
  const [titles, ...rows] = seriesCells(series(), false);
  assert(rows.length === 3 && rows.every((row) => row.length === titles.length));
});

Deno.test("JSON has an object a group, point or flow, then the sums", () => {
  const objects = topObjects(STAMP, TOP, "src").map(jsonLine).map((line) => JSON.parse(line));
  assertEquals(objects.map(({ type }) => type), ["history_group", "history_group", "history_summary"]);
  assertEquals(objects[1].group, HOSTILE);
  const { seen_packets, rest_packets, beyond, first, windows } = objects[2];
  assertEquals([seen_packets, rest_packets, beyond, windows], [1_000, 300, 3, { "1s": 60, "1m": 9 }]);
  assertEquals(first, "2026-01-02T00:00:00.000000000Z");
  const [point, group] = seriesObjects(STAMP, series());
  assertEquals([point.type, point.seen_packets, group.type, group.packets], [
    "history_point",
    600n,
    "history_group_point",
    1n,
  ]);
  const [flow] = flowObjects(STAMP, flows()).map(jsonLine).map((line) => JSON.parse(line));
  assertEquals([flow.src, flow.proto, flow.tcp_flags, flow.comm, flow.pid], ["2001:db8::1", "tcp", "SA", HOSTILE, 7]);
});
