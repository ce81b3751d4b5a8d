/** A spool on a disk that is really full: a file system of a few hundred kilobytes, in memory. */
import { Spool } from "../lib/fleet/agent/spool.ts";
import { assert, assertEquals, assertStringIncludes } from "./assert.ts";

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (!success) throw new Error(`Cannot run ${command}: ${new TextDecoder().decode(stderr)}`);
}

Deno.test("A spool on a full disk goes on in memory, loses nothing, and returns when there is room", async () => {
  const path = await Deno.makeTempDir({ prefix: "ebpfmon-fleet-" });
  await run("mount", ["-t", "tmpfs", "-o", "size=256k,mode=0700", "ebpfmon-test", path]);
  try {
    const notices: string[] = [];
    let nowMs = 1_800_000_000_000;
    const open = () =>
      new Spool({
        memoryBytesMax: 10_000_000,
        directory: { path: `${path}/spool`, bytesMax: 50_000_000 },
        onNotice: (notice) => notices.push(notice),
        now: () => nowMs,
      });
    {
      using spool = open();
      for (let i = 0; i < 100; i++) spool.append("info", 1, () => new Uint8Array(5000).fill(i));
      assert(spool.stats.diskFailed);
      assertStringIncludes(notices.join("\n"), "No space left on device");
      await run("mount", ["-o", "remount,size=2m", path]);
      nowMs += 10_000;
      for (let i = 100; i < 150; i++) spool.append("info", 1, () => new Uint8Array(5000).fill(i));
      assertEquals(spool.stats.diskFailed, false);
      for (let i = 0; i < 150; i++) assertEquals(spool.take()?.bytes, new Uint8Array(5000).fill(i));
      assertEquals(spool.take(), null);
      assertEquals(notices.length, 2);
    }
    using spool = open();
    // What was written before and after is there, whole.
    assert(spool.stats.batches.recovered >= 50 + 256_000 / 5020 * 0.7, `${spool.stats.batches.recovered}`);
    assertEquals(notices.length, 2);
  } finally {
    await run("umount", [path]);
    await Deno.remove(path);
  }
});
