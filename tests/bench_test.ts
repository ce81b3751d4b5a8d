/** Every bench runs in its short mode, which fails when one of its sums is wrong: so that none of them rots. */
import { assertEquals, assertMatch } from "./assert.ts";
import { BENCHES } from "../bench/benches.ts";

const SCRIPT = decodeURIComponent(new URL("../bench/run.ts", import.meta.url).pathname);
const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);

for (const name of BENCHES) {
  Deno.test(`bench ${name} counts what it sends`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--no-check", "--allow-all", SCRIPT, "--check", name],
      cwd: ROOT,
    }).output();
    const text = new TextDecoder();
    assertEquals(code, 0, text.decode(stderr));
    assertMatch(text.decode(stdout), new RegExp(`^${name}: [1-9]\\d* sums are right\\n$`));
  });
}
