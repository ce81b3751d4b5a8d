/** Rules that change while the built ./ebpfmon runs: by signal, by file, over HTTP, under load. */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { Cli, type JsonObject } from "./support/cli.ts";
import { TestNet } from "./support/namespaces.ts";
import { ACTOR, Actor } from "./support/router.ts";

const PREFIX = "/nonexistent/live-rules";
const FLOOD = 20_000;
const WAIT_MS = 10_000;

/** Opens below PREFIX have this severity. */
function rulesOf(severity: string): string {
  return `rules:\n  - { name: r, match: { event: file_open, path_prefix: ${PREFIX} }, severity: ${severity} }\n`;
}

/** HTTP as seen from the program's network namespace. */
class Api {
  constructor(readonly net: TestNet, readonly listen: string) {}

  async call(...args: string[]): Promise<{ status: number; body: JsonObject }> {
    const url = `http://${this.listen}/api/v1/rules`;
    const text = await this.net.run("watched", "curl", ["-sS", "-w", "\n%{http_code}", ...args, url]);
    const end = text.lastIndexOf("\n");
    return { status: Number(text.slice(end + 1)), body: JSON.parse(text.slice(0, end)) };
  }

  put(rules: string): Promise<{ status: number; body: JsonObject }> {
    return this.call("-X", "PUT", "-H", "content-type: application/yaml", "--data-binary", rules);
  }

  /** Waits until the rules in force are of that generation. */
  async until(generation: number): Promise<JsonObject> {
    const deadlineMs = performance.now() + WAIT_MS;
    for (;;) {
      const { body } = await this.call();
      if (body.generation === generation) return body;
      if (performance.now() > deadlineMs) {
        throw new Error(`generation ${generation} does not come: ${JSON.stringify(body)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Opens so many files below a prefix, none of which exists. */
async function flood(actor: Actor, prefix: string, opens: number): Promise<void> {
  const flooder = actor.start("flood", prefix, String(opens));
  await flooder.go();
  await flooder.done;
}

function eventsArgs(config: string): string[] {
  const rings = ["--ring-debug", "16777216", "--ring-normal", "16777216", "--rate-limit", "0"];
  const only = ["--comm", ACTOR, "--event", "file_open", "--no-repeat-suppression"];
  return ["events", "--json", "--listen", "127.0.0.1:0", "--config", config, "--watch-config", ...rings, ...only];
}

Deno.test("each event is judged by exactly one generation of rules that change under load, and all are counted", async () => {
  await using actor = await Actor.build();
  await using net = await TestNet.create();
  const config = `${actor.dir}/rules.yaml`;
  await Deno.writeTextFile(config, rulesOf("debug"));
  const cli = new Cli(net, eventsArgs(config));
  const { listen } = await cli.ready();
  const api = new Api(net, listen);
  /** By generation. */
  const severities = new Map([[1, "debug"]]);

  let changing = true;
  let opens = 0;
  const flooding = (async () => {
    while (changing) {
      await flood(actor, PREFIX, FLOOD);
      opens += FLOOD;
    }
  })();
  try {
    await api.until(1);
    // SIGHUP; the file's own change is seen too, or was by then: the generation may be one further.
    await Deno.writeTextFile(config, rulesOf("info"));
    cli.kill("SIGHUP");
    severities.set(2, "info").set(3, "info");
    await api.until(2);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    let { generation } = (await api.call()).body;
    for (const severity of ["warning", "debug", "info"]) {
      const { status, body } = await api.put(rulesOf(severity));
      assertEquals([status, body.generation, body.source], [200, generation + 1, "api"]);
      severities.set(++generation, severity);
      assertEquals((await api.call()).body.rules[0].severity, severity);
    }
    const wrong = await api.put("rules: [{ name: x }]");
    assertEquals([wrong.status, wrong.body.error], [400, "rules:1:9: the rule has no match"]);
    // By its change alone.
    await Deno.writeTextFile(`${config}.new`, rulesOf("warning"));
    await Deno.rename(`${config}.new`, config);
    severities.set(++generation, "warning");
    const { source, rules } = await api.until(generation);
    assertEquals([source, rules[0].severity], ["file", "warning"]);
  } finally {
    changing = false;
    await flooding;
    cli.kill("SIGINT");
  }

  const { code, objects, stderr } = await cli.result();
  assertEquals(code, 0);
  assertStringIncludes(stderr.join("\n"), `the rules of ${config} are in force, as generation 2`);
  const events = objects.filter(({ type, path }) => type === "event" && path.startsWith(PREFIX));
  const seen = new Set<number>();
  for (const { severity, rules_generation: generation } of events) {
    assertEquals(severity, severities.get(generation), `generation ${generation}`);
    seen.add(generation);
  }
  assertGreater(seen.size, 3);
  const summary = objects.at(-1)!;
  const sum = (field: string) => summary.rings.reduce((total: number, ring: JsonObject) => total + ring[field], 0);
  assertEquals(sum("submitted"), sum("consumed"));
  assertEquals(summary.pipeline.unaccounted, 0);
  // Every open is a record, or was dropped or held back, and counted as that.
  assertEquals(sum("submitted") + sum("dropped") + sum("failures") + summary.sampled_out + summary.rate_limited, opens);
  assert(events.length <= opens);
});

Deno.test("filters and watch lists hold in the kernel from the moment they are put", async () => {
  await using actor = await Actor.build();
  await using net = await TestNet.create();
  const config = `${actor.dir}/rules.yaml`;
  await Deno.writeTextFile(config, "rules: []\n");
  const cli = new Cli(net, eventsArgs(config));
  const { listen } = await cli.ready();
  const api = new Api(net, listen);
  const filters = `filters: [{ name: none, match: { path_prefix: ${PREFIX} }, action: drop }]`;
  assertEquals((await api.put(filters)).status, 200);
  await flood(actor, PREFIX, 1_000);
  assertEquals((await api.put("rules: []")).status, 200);
  await flood(actor, `${PREFIX}/second`, 10);
  cli.kill("SIGINT");
  const { objects } = await cli.result();
  const paths = objects.filter(({ type }) => type === "event").map(({ path }) => path as string);
  const dropped = paths.filter((path) => path.startsWith(PREFIX) && !path.startsWith(`${PREFIX}/second`));
  assertEquals(dropped.length, 0);
  assertEquals(paths.filter((path) => path.startsWith(`${PREFIX}/second`)).length, 10);
  assert(objects.at(-1)!.filtered >= 1000);
});

Deno.test("a minimum severity holds from the moment it is put and is shown, and a wrong one changes nothing", async () => {
  await using actor = await Actor.build();
  await using net = await TestNet.create();
  const config = `${actor.dir}/rules.yaml`;
  await Deno.writeTextFile(config, rulesOf("info"));
  const cli = new Cli(net, eventsArgs(config));
  const { listen } = await cli.ready();
  const api = new Api(net, listen);
  await flood(actor, `${PREFIX}/first`, 10);
  const { status, body } = await api.put(`${rulesOf("info")}minimum_severity: warning\n`);
  assertEquals([status, body.minimum_severity], [200, "warning"]);
  const wrong = await api.put(`${rulesOf("info")}minimum_severity: worning\n`);
  assertEquals([wrong.status, wrong.body.error], [
    400,
    "rules:3:19: minimum_severity takes critical, error, warning, info or debug, " +
    'got "worning", did you mean warning?',
  ]);
  assertEquals((await api.call()).body, body);
  await flood(actor, `${PREFIX}/second`, 1_000);
  assertEquals((await api.put(`${rulesOf("critical")}minimum_severity: critical\n`)).status, 200);
  await flood(actor, `${PREFIX}/third`, 10);
  cli.kill("SIGINT");
  const { objects } = await cli.result();
  const events = objects.filter(({ type, path }) => type === "event" && path.startsWith(PREFIX));
  assertEquals(
    events.map(({ path, severity }) => `${severity} ${path}`).sort(),
    [["critical", "third"], ["info", "first"]].flatMap(([severity, folder]) =>
      Array.from({ length: 10 }, (_, i) => `${severity} ${PREFIX}/${folder}/${i}`)
    ),
  );
  assert(objects.at(-1)!.filtered >= 1_000);
});

Deno.test("a program without a file of rules ends on SIGHUP", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, ["events", "--json", "--listen", "off", "--comm", ACTOR]);
  await cli.ready();
  cli.kill("SIGHUP");
  assertEquals((await cli.result()).code, 0);
});
