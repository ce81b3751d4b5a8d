import { assert, assertEquals, assertMatch, assertStringIncludes } from "../../tests/assert.ts";
import { PERMISSIONS } from "../../tools/permissions.ts";

const PROGRAM = new URL("../../tests/support/screen_program.ts", import.meta.url).pathname;
const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Runs the program on a pseudo-terminal; `keys` are typed one after the other, each once its text was shown. */
async function onTerminal(
  how: string,
  keys: [shown: string, key: string][],
): Promise<{ code: number; output: string }> {
  const command =
    `trap : INT; stty cols 60 rows 8; '${Deno.execPath()}' run --no-check ${
      PERMISSIONS.join(" ")
    } '${PROGRAM}' ${how}; ` +
    `code=$?; stty -a | grep -o -- '-\\?icanon'; exit $code`;
  const script = new Deno.Command("script", {
    args: ["--quiet", "--return", "--flush", "--command", command, "/dev/null"],
    env: { SHELL: "/bin/sh", NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const typing = script.stdin.getWriter();
  let output = "";
  for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    while (keys.length > 0 && output.includes(keys[0][0])) {
      await typing.write(new TextEncoder().encode(keys.shift()![1]));
    }
  }
  await typing.close().catch(() => {}); // the terminal is gone
  return { code: (await script.status).code, output };
}

/** The terminal was taken once, given back once, and is in its usual mode. */
function assertRestored(output: string): void {
  assertEquals([output.split(ENTER).length, output.split(LEAVE).length], [2, 2], JSON.stringify(output));
  assert(output.indexOf(ENTER) < output.indexOf(LEAVE));
  assertMatch(output.trimEnd(), /[^-]icanon$/);
}

Deno.test("Screen shows the state, holds it on p, stops on q and lets the process end", async () => {
  const { code, output } = await onTerminal("", [["q quit · p pause", "p"], ["PAUSED", "q"]]);
  assertEquals(code, 0);
  // deno-lint-ignore no-control-regex
  assertMatch(output, /\x1b\[Kwaiting for the first window\r+\n/);
  assertStringIncludes(output.slice(output.indexOf(LEAVE)), "stopped");
  assertRestored(output);
});

Deno.test("Screen leaves Ctrl-C a signal", async () => {
  const { code, output } = await onTerminal("", [["q quit", "\x03"]]);
  assertEquals(code, 0);
  assertStringIncludes(output, "stopped");
  assertRestored(output);
});

Deno.test("Screen is not stopped by Ctrl-Z, which would leave the shell on its screen", async () => {
  const { code, output } = await onTerminal("", [["q quit", "\x1a"], ["q quit", "p"], ["PAUSED", "q"]]);
  assertEquals(code, 0);
  assertRestored(output);
});

Deno.test("Screen takes no letter of an arrow key for a key", async () => {
  const { output } = await onTerminal("", [["q quit", "\x1b[p"], ["q quit", "q"]]);
  assert(!output.includes("PAUSED"));
});

for (const [how, status] of [["throw", 1], ["exit", 7]] as const) {
  Deno.test(`Screen gives the terminal back when the program ends by ${how}`, async () => {
    const { code, output } = await onTerminal(how, []);
    assertEquals(code, status);
    assertRestored(output);
  });
}
