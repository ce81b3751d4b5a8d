/** `ebpfmon top` on a pseudo-terminal: its keys, and the terminal given back. */
import { assert, assertEquals, assertStringIncludes } from "./assert.ts";

const PROGRAM = Deno.env.get("EBPFMON") ?? decodeURIComponent(new URL("../ebpfmon", import.meta.url).pathname);
const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Runs top on a terminal of 80x24; `keys` are typed one after the other, each once its text was shown. */
async function onTerminal(keys: [shown: string, key: string][]): Promise<{ code: number; output: string }> {
  const script = new Deno.Command("script", {
    args: [
      "--quiet",
      "--return",
      "--flush",
      "--command",
      `stty cols 80 rows 24; ${PROGRAM} top --window 200`,
      "/dev/null",
    ],
    env: { SHELL: "/bin/sh", NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const typing = script.stdin.getWriter();
  const deadline = setTimeout(() => script.kill("SIGTERM"), 20_000);
  let output = "";
  let from = 0;
  for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    // What was shown before the last key does not count.
    while (keys.length > 0 && output.indexOf(keys[0][0], from) >= 0) {
      from = output.length;
      await typing.write(new TextEncoder().encode(keys.shift()![1]));
    }
  }
  clearTimeout(deadline);
  await typing.close().catch(() => {}); // the terminal is gone
  return { code: (await script.status).code, output };
}

Deno.test("top sorts, groups, filters, pauses and quits by its keys, and gives the terminal back", async () => {
  const keys: [string, string][] = [
    ["processes by calls", "e"],
    ["processes by errors", "g"],
    ["containers by errors", "ggg"],
    ["processes by errors", "/"],
    ["command contains: _", "scriptx\x7f"],
    ["command contains: script_", "\r"],
    ["command script", "p"],
    ["PAUSED", "c"],
    ["processes by calls · command script", "q"],
  ];
  const { code, output } = await onTerminal(keys);
  assertEquals([code, keys], [0, []]);
  assertEquals([output.split(ENTER).length, output.split(LEAVE).length], [2, 2]);
  assert(output.indexOf(ENTER) < output.indexOf(LEAVE));
  const after = output.slice(output.indexOf(LEAVE));
  assertStringIncludes(after, "Accounting: seen = counted + overflow");
});
