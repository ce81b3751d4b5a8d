import { assertEquals, assertStringIncludes } from "../../../tests/assert.ts";
import { completionScript, SHELLS } from "../completions.ts";
import type { Flag } from "../flags/kinds.ts";
import { COMMANDS } from "./mod.ts";

for (const shell of SHELLS) {
  Deno.test(`completionScript("${shell}") knows every command and every flag of the table`, () => {
    const script = completionScript(shell, COMMANDS);
    for (const [name, { spec }] of Object.entries(COMMANDS)) {
      assertStringIncludes(script, name);
      for (const { name: flag } of Object.values<Flag>(spec.flags)) {
        assertStringIncludes(script, shell === "fish" ? `-l ${flag}` : `--${flag}`);
      }
    }
  });
}

/** What bash offers for these words, the last of which is being typed. */
async function bashOffers(...words: string[]): Promise<string[]> {
  const driver = `${completionScript("bash", COMMANDS)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ebpfmon; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const bash = new Deno.Command("bash", { args: ["-eu", "-c", driver, "bash", "ebpfmon", ...words] });
  const { stdout, stderr } = await bash.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
}

Deno.test("the bash script completes commands, flags, choices, interfaces and shells", async () => {
  assertEquals(await bashOffers(""), [...Object.keys(COMMANDS), "help", "--help", "--version"]);
  assertEquals(await bashOffers("mo"), ["monitor"]);
  assertEquals(await bashOffers("monitor", "--win"), ["--window"]);
  assertEquals(await bashOffers("doctor", "--win"), []);
  assertEquals(await bashOffers("monitor", "--direction", "e"), ["egress"]);
  assertEquals(await bashOffers("monitor", "--sort", "retr"), ["retransmits", "retransmit-share"]);
  assertEquals(await bashOffers("history", "--sort", ""), ["packets", "bytes"]);
  assertEquals(await bashOffers("monitor", "--window", ""), []);
  assertEquals(await bashOffers("monitor", "l"), ["lo"]);
  assertEquals(await bashOffers("completions", ""), [...SHELLS]);
});
