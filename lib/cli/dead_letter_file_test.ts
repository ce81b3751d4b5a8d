import { assertEquals, assertGreater, assertMatch, assertThrows } from "../../tests/assert.ts";
import { eventRecord } from "../../tests/support/records.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { DeadLetterFile, readDeadLetters } from "./dead_letter_file.ts";

const CONTEXT = { host: "h", decoder: new EventDecoder("x86_64"), bootUnixNs: 0n };

function letter(error: string): DeadLetter {
  return { stage: "enrich", error, attempts: 2, unixNs: 5n, record: eventRecord("process_exit", { pid: 7 }).slice() };
}

Deno.test("DeadLetterFile keeps letters for readDeadLetters(), behind those that are there, for its owner alone", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ebpfmon-letters-" });
  try {
    const path = `${dir}/letters.jsonl`;
    const notices: string[] = [];
    for (const error of ["first", "second\n\x1b[2J"]) {
      using file = new DeadLetterFile(path, CONTEXT, (text) => notices.push(text));
      file.add(letter(error));
      assertEquals(file.missing, 0);
    }
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    await Deno.writeTextFile(path, "no letter\n", { append: true });
    assertEquals(readDeadLetters(path, (text) => notices.push(text)), [letter("first"), letter("second\n\x1b[2J")]);
    assertEquals(notices, [`${path}:3: expected a JSON object; left out`]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`Cannot run ${command}: ${new TextDecoder().decode(stderr)}`);
}

Deno.test("DeadLetterFile tells once that the disk is full, counts what is missing, and goes on when there is room", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ebpfmon-letters-" });
  await run("mount", "-t", "tmpfs", "-o", "size=64k", "ebpfmon-test", dir);
  try {
    const notices: string[] = [];
    using file = new DeadLetterFile(`${dir}/letters.jsonl`, CONTEXT, (text) => notices.push(text));
    Deno.writeFileSync(`${dir}/ballast`, new Uint8Array(60 << 10));
    for (let i = 0; i < 100; i++) file.add(letter("x".repeat(200)));
    assertEquals(notices.length, 1);
    assertMatch(notices[0], /^dead letters are not written: No space left on device/);
    const missing = file.missing;
    assertGreater(missing, 50);
    Deno.removeSync(`${dir}/ballast`);
    file.add(letter("again"));
    assertEquals([file.missing, notices.length], [missing, 1]);
    const torn: string[] = [];
    const read = readDeadLetters(`${dir}/letters.jsonl`, (text) => torn.push(text));
    assertEquals(read.length, 101 - missing, "the last one is there, although the line before it is torn");
    assertEquals([read.at(-1)?.error, torn.length], ["again", 1]);
  } finally {
    await run("umount", "--lazy", dir);
    await Deno.remove(dir);
  }
});

Deno.test("files of dead letters that cannot be used are named, with the reason", async () => {
  const ignore = () => {};
  assertThrows(
    () => new DeadLetterFile("/nonexistent/x", CONTEXT, ignore),
    Error,
    "Cannot write dead letters to /nonex",
  );
  assertThrows(
    () => readDeadLetters("/nonexistent", ignore),
    Error,
    "Cannot read dead letters from /nonexistent: No such",
  );
  const path = await Deno.makeTempFile({ prefix: "ebpfmon-letters-" });
  try {
    assertEquals(readDeadLetters(path, ignore), []);
    await Deno.writeTextFile(path, "{}\n");
    assertThrows(() => readDeadLetters(path, ignore), Error, "it holds none");
  } finally {
    await Deno.remove(path);
  }
});
