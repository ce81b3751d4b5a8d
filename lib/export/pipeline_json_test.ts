import { assertEquals } from "../../tests/assert.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { jsonLine } from "./json_lines.ts";
import { pipelineObject } from "./pipeline_json.ts";

const STAMP = { unixNs: 1_767_323_045_000_000_006n, host: "h" };

Deno.test("pipelineObject() says what became of the events", () => {
  const object = pipelineObject(STAMP, pipelineStats());
  const { stages, latency, ...rest } = JSON.parse(jsonLine(object));
  assertEquals(rest, {
    type: "pipeline",
    time: "2026-01-02T03:04:05.000000006Z",
    host: "h",
    in: 1_000,
    filtered: 200,
    aggregated: 700,
    dead_lettered: 40,
    dropped: 35,
    in_flight: 25,
    unaccounted: 0,
    retried: 3,
    filtered_by_rule: [{ rule: "low_priority_system", count: 150 }, { rule: "filter", count: 50 }],
    dropped_by_channel: [
      { channel: "bulk-0", policy: "drop_oldest", count: 30 },
      { channel: "queue-1", policy: "lost", count: 5 },
    ],
    channel_fill: [{ channel: "bulk-0", fill: 0.25 }],
    events_per_second: { "1s": 100.5, "10s": 90, "60s": 80 },
    categories: { unknown: 0, syscall: 1, network: 2, filesystem: 690, process: 7 },
    events: [{ event: "file_open", severity: "info", records: 690, estimated: 1_380 }],
    processes: {
      top: [{ pid: 7, name: "\u202esh\x1b", exe: "/bin/sh", records: 600, estimated: 1_200 }],
      other: { records: 100, estimated: 200 },
    },
    containers: {
      top: [{ container_id: "c1", pod_uid: "p1", records: 11, estimated: 12 }],
      other: { records: 0, estimated: 0 },
    },
    cache: { hits: 690, misses: 10, hit_ratio: 0.985, entries: 321, evictions: 4 },
  });
  assertEquals(stages[1], {
    stage: "aggregate",
    in: 750,
    out: 700,
    restarts: 0,
    latency: { p50_ns: 100, p90_ns: 100, p99_ns: 100, p999_ns: 100, max_ns: 100, mean_ns: 100 },
  });
  assertEquals(latency.max_ns, 20_000_000_000);
});

Deno.test("pipelineObject() becomes one line that a terminal does not obey", () => {
  const line = jsonLine(pipelineObject(STAMP, pipelineStats({ cache: null })));
  assertEquals(line.split("\n").length, 2);
  assertEquals(/(?!\n)\p{Cc}|\u202e/u.test(line), false);
  assertEquals(JSON.parse(line).cache, null);
});
