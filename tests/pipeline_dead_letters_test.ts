/** Dead letters on their way through files: written, shown, replayed, and what happens where that cannot be. */
import { assert, assertEquals, assertFalse, assertStringIncludes } from "./assert.ts";
import { runPipeline } from "./support/pipeline_cli.ts";
import { eventRecord } from "./support/records.ts";

function letterLine(record: Uint8Array<ArrayBuffer>, error = "Cannot read it"): string {
  const letter = { type: "dead_letter", stage: "filter", error, attempts: 1, unix_ns: "5", record: record.toBase64() };
  return JSON.stringify(letter) + "\n";
}

/** A sound event, one that contradicts itself, and one whose process chose its name badly. */
const LETTERS = letterLine(eventRecord("file_open")) + letterLine(new Uint8Array(200).fill(0xff)) +
  letterLine(eventRecord("process_exit", { comm: "a\nb\x1b[2J" }), "x\x1b[31m\ny");

class Folder implements AsyncDisposable {
  private constructor(readonly dir: string) {}

  static async create(): Promise<Folder> {
    return new Folder(await Deno.makeTempDir({ prefix: "ebpfmon_test_" }));
  }

  async write(text: string): Promise<string> {
    const path = `${this.dir}/letters.jsonl`;
    await Deno.writeTextFile(path, text);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test("pipeline dead-letters shows one line a letter, and nothing that a terminal obeys", async () => {
  await using folder = await Folder.create();
  const path = await folder.write(LETTERS + "no letter\n");
  const { code, stdout, stderr } = await runPipeline(["dead-letters", "--dead-letters", path]);
  assertEquals(code, 0, stderr.join("\n"));
  assertEquals(stdout.length, 4);
  assertStringIncludes(stdout[0], "file_open pid 4242");
  assertStringIncludes(stdout[1], "200 bytes that are no event");
  assertEquals(stdout[3], "3 dead letters");
  assertFalse(stdout.join("").includes("\x1b"));
  assertEquals(stderr, [`ebpfmon: ${path}:4: expected a JSON object; left out`]);
});

Deno.test("pipeline replay sends each letter through the stages, and adds up", async () => {
  await using folder = await Folder.create();
  const path = await folder.write(LETTERS + letterLine(new Uint8Array(5)));
  const { code, objects, stderr } = await runPipeline(["replay", "--dead-letters", path, "--no-kernel", "--json"]);
  assertEquals(code, 0, stderr.join("\n"));
  const { in: came, filtered, aggregated } = objects.at(-1)!;
  assertEquals([came, filtered, aggregated], [3, 0, 2]);
  assertEquals(objects.at(-1)!.dead_lettered, 1);
  assert(stderr.includes("ebpfmon: 1 letters hold no record and are left out"), stderr.join("\n"));
});

Deno.test("a file of dead letters that cannot be read or written is one clear line", async () => {
  const missing = "/nonexistent/letters.jsonl";
  for (const args of [["dead-letters"], ["replay"], ["--simulate", "10", "--no-kernel"]]) {
    const { code, stdout, stderr } = await runPipeline([...args, "--dead-letters", missing]);
    assertEquals([code, stdout], [1, []], stderr.join("\n"));
    assert(stderr.at(-1)!.includes(missing), stderr.join("\n"));
  }
});
