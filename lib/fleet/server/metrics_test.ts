import { assert, assertEquals, assertStringIncludes } from "../../../tests/assert.ts";
import { fullMetricsSnapshot, fullServerSnapshot } from "../../../tests/support/full_snapshots.ts";
import { renderMetrics } from "../../export/metrics.ts";
import { renderServerMetrics } from "./metrics.ts";

async function promtool(page: string): Promise<{ code: number; said: string }> {
  const child = new Deno.Command("build/bin/promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("renderServerMetrics() has the counts of the server, its store, correlation, traces and NATS", async () => {
  const page = renderServerMetrics(fullServerSnapshot());
  for (
    const line of [
      'ebpfmon_fleet_refused_total{reason="limit"} 4',
      "ebpfmon_fleet_events_total 20",
      "ebpfmon_fleet_throttled_seconds_total 1.5",
      "ebpfmon_store_size_bytes 4096",
      'ebpfmon_correlation_records_total{outcome="unknown"} 1',
      'ebpfmon_correlation_groups_total{outcome="recorded"} 3',
      'ebpfmon_export_otlp_spans_total{outcome="exported"} 5',
      "ebpfmon_nats_partitions 4",
    ]
  ) assertStringIncludes(page, `\n${line}\n`);
  assertEquals(await promtool(page), { code: 0, said: "" });
});

Deno.test("renderServerMetrics() leaves out what a server does not do, and names no agent", () => {
  const nothing = { server: null, store: null, correlation: null, traces: null, nats: null };
  const page = renderServerMetrics({ ...fullServerSnapshot(), ...nothing });
  assert(!/ebpfmon_(fleet|store|correlation|export|nats)_/.test(page));
  assert(!/agent=|192\.0\.2\.1/.test(renderServerMetrics(fullServerSnapshot())));
});

Deno.test("an agent's metrics add up, and satisfy promtool", async () => {
  const page = renderMetrics(fullMetricsSnapshot());
  const value = (name: string) =>
    [...page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, "gm"))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    );
  for (const what of ["batches", "events"]) {
    assertEquals(
      value(`ebpfmon_agent_${what}_total`),
      value(`ebpfmon_agent_acknowledged_${what}_total`) + value(`ebpfmon_agent_dropped_${what}_total`) +
        value(`ebpfmon_agent_spooled_${what}`),
    );
  }
  assertStringIncludes(page, "\nebpfmon_agent_debug_sampling_ratio 0.25\n");
  const withoutDebug = renderMetrics(fullMetricsSnapshot({ debugSampling: null }));
  assertStringIncludes(withoutDebug, "\nebpfmon_agent_debug_sampling_ratio 0\n");
  assertEquals(await promtool(page), { code: 0, said: "" });
});
