/** docs/reference.md against the program: its commands and flags, and its metrics. */
import { helpOfProgram, REFERENCE_FILE, withReference } from "../tools/reference.ts";
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { runCli } from "./support/cli.ts";
import { modulesBelow } from "./support/imports.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

/** Sections about several types of objects, by type. */
const SECTION_OF: Record<string, string> = {
  history_group: "history objects",
  history_point: "history objects",
  history_group_point: "history objects",
  history_flow: "history objects",
  history_summary: "history objects",
  command: "doctor objects",
  feature: "doctor objects",
  fact: "doctor objects",
  filter: "filter objects",
};

/** Sections that those of other types refer to. */
const SHARED_SECTIONS: Record<string, string[]> = {
  summary: ["window", "processes", "health", "pipeline"],
  history_flow: ["window"],
};

Deno.test("docs/reference.md has the commands, flags and metrics of the program", async () => {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  assertEquals(text, await withReference(text, helpOfProgram), 'run "make reference"');
});

Deno.test("docs/reference.md leaves out no metric whose name stands in the code", async () => {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  const names = new Set<string>();
  for (const path of await modulesBelow("lib")) {
    const code = await Deno.readTextFile(path);
    for (const [, name] of code.matchAll(/\.(?:counter|gauge|histograms?)\(\s*"(ebpfmon_\w+)"/g)) names.add(name);
  }
  assertGreater(names.size, 80);
  for (const name of names) {
    assert(text.includes(`\`${name}\``), `${name} is in no page of tests/support/full_snapshots.ts`);
  }
});

/** What stands below the headings of docs/reference.md, by heading, from `## JSON lines` to the next heading of its rank. */
async function jsonSections(): Promise<Map<string, string>> {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  const chapter = /^## JSON lines\n(.*?)^## /ms.exec(text)![1];
  const [introduction, ...sections] = chapter.split(/^### /m);
  const titled = sections.map((section): [string, string] => {
    const [title, ...lines] = section.split("\n");
    return [title, lines.join("\n")];
  });
  return new Map([["", introduction], ...titled]);
}

/** Maps whose keys are data: `other` has classes, and so on. */
const KEYED_BY_DATA = ["categories", "dropped", "dropped_by_event", "events_per_second", "windows"];

/** Names of all fields of an object and of what is in it. */
function fieldsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(fieldsOf);
  return Object.entries(value).flatMap(([name, inner]) => [
    name,
    ...KEYED_BY_DATA.includes(name) ? [] : fieldsOf(inner),
  ]);
}

Deno.test("docs/reference.md names every field of the JSON objects that commands print", async () => {
  const folder = await Deno.makeTempDir();
  await using net = await TestNet.create();
  await using _folder = { [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
  const store = `${folder}/flows.db`;
  const off = ["--json", "--listen", "off"];
  const ping = net.spawn("watched", "ping", ["-q", "-i", "0.1", "-w", "4", ENDS.peer.ipv4]);
  const flags = ["--activity", "--filter", "icmp", "--max-flows", "1", "--max-flows-limit", "1", "--store", store];
  const results = [
    await runCli(net, ["monitor", ENDS.watched.iface, ...off, "--duration", "2", ...flags]),
    await runCli(net, ["events", ...off, "--duration", "2"]),
    await runCli(net, ["top", "--json", "--duration", "1", "--by", "user"]),
    await runCli(net, ["measure", "1", ENDS.watched.iface, "--json"]),
    await runCli(net, ["pipeline", ...off, "--simulate", "1500", "--rate", "1000", "--no-kernel"]),
    await runCli(net, ["history", "top", "--json", "--store", store]),
    await runCli(net, ["history", "series", "--json", "--store", store, "--by", "proto"]),
    await runCli(net, ["history", "flows", "--json", "--store", store]),
    await runCli(net, ["doctor", "--json"]),
  ];
  await ping.status;
  const objects = results.flatMap(({ objects }) => objects);
  const types = [...new Set(objects.map(({ type }) => type))];
  for (const type of ["window", "processes", "health", "event", "pipeline", "measure", "summary", "history_flow"]) {
    assert(types.includes(type), `no ${type}`);
  }

  const sections = await jsonSections();
  const missing = new Set<string>();
  for (const object of objects) {
    // An object's section, and those that it refers to.
    const names = ["", object.type, ...SHARED_SECTIONS[object.type] ?? []];
    const text = names.map((name) => sections.get(SECTION_OF[name] ?? name) ?? "").join("\n");
    for (const field of fieldsOf(object)) {
      if (!text.includes(`\`${field}\``)) missing.add(`${object.type}: ${field}`);
    }
  }
  assertEquals([...missing], []);
});
