/** `ebpfmon pipeline` from outside: what other tools see of it. */
import { assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { CATEGORIES } from "../lib/events/types/category.ts";
import { COUNTS_MAP, TOTAL_KEY } from "../lib/pipeline/counts_map.ts";
import { Cli } from "./support/cli.ts";
import { TestNet } from "./support/namespaces.ts";

const PROMTOOL = decodeURIComponent(new URL("../build/bin/promtool", import.meta.url).pathname);

async function output(command: string, args: string[], input = ""): Promise<{ code: number; text: string }> {
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** Counts of the maps of that name, by key. Several runs on one machine have one each. */
async function countMaps(): Promise<Map<number, number>[]> {
  const { text } = await output("bpftool", ["-j", "map", "list"]);
  const ids = (JSON.parse(text) as { id: number; name?: string }[]).filter(({ name }) => name === COUNTS_MAP);
  return await Promise.all(ids.map(async ({ id }) => {
    const dump = JSON.parse((await output("bpftool", ["-j", "map", "dump", "id", String(id)])).text);
    const bytes = (hex: string[]) => Uint8Array.from(hex, (byte) => Number(byte));
    return new Map((dump as { key: string[]; value: string[] }[]).map(({ key, value }) => [
      new DataView(bytes(key).buffer).getUint32(0, true),
      Number(new DataView(bytes(value).buffer).getBigUint64(0, true)),
    ]));
  }));
}

Deno.test("while pipeline runs, other tools read its counts from a map, and Prometheus its metrics", async () => {
  await using net = await TestNet.create();
  const events = 40_000;
  // All but the last of them are there at once, the rest keeps it running.
  const args = ["pipeline", "--simulate", String(events), "--rate", "20000", "--json", "--listen", "127.0.0.1:0"];
  const cli = new Cli(net, args);
  const { in: seen } = await cli.until(({ type, aggregated }) => type === "pipeline" && aggregated > 1_000);
  assertGreater(seen, 0);
  const maps = await countMaps();
  const sums = maps.map((counts) => [
    CATEGORIES.reduce((sum, _, key) => sum + (counts.get(key) ?? 0), 0),
    counts.get(TOTAL_KEY) ?? 0,
  ]);
  const [sum, total] = sums.find(([, total]) => total > 0 && total <= events) ?? [NaN, NaN];
  assertGreater(sum, 0);
  // Read entry by entry while it is added to: within one report of each other.
  assertGreater(total * 2, sum);
  const { stderr } = await cli.result();
  const listen = /http:\/\/(\S+)\/metrics/.exec(stderr.join("\n"))![1];
  assertStringIncludes(listen, "127.0.0.1:");
  const summary = cli.objects.at(-1)!;
  assertEquals([summary.type, summary.in, summary.unaccounted], ["summary", events, 0]);
});

Deno.test("the metrics of a pipeline add up and have nothing that promtool objects to", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, ["pipeline", "--simulate", "1000000000", "--json", "--listen", "127.0.0.1:19464"]);
  try {
    await cli.until(({ type, aggregated }) => type === "pipeline" && aggregated > 1_000);
    const page = await net.run("watched", "curl", ["-sS", "http://127.0.0.1:19464/metrics"]);
    const value = (name: string) => Number(new RegExp(`^ebpfmon_pipeline_${name} (\\S+)$`, "m").exec(page)![1]);
    const out = value("filtered_total") + value("aggregated_total") + value("dead_lettered_total");
    // Counters of several workers, read one after another while they run.
    assertGreater(value("in_total"), 0);
    assertGreater(out + value("in_flight"), value("in_total") / 2);
    assertEquals(await output(PROMTOOL, ["check", "metrics"], page), { code: 0, text: "" });
  } finally {
    cli.kill("SIGINT");
  }
  const { code } = await cli.result();
  assertEquals(code, 0);
  assertEquals(cli.objects.at(-1)!.unaccounted, 0);
});
