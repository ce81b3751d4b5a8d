/** `ebpfmon top` beside a process that knows what it called. */
import { assertEquals, assertGreater } from "../../assert.ts";
import { Cli, type JsonObject } from "../../support/cli.ts";
import { runActor } from "./actor.ts";
import { testNet } from "./programs_run.ts";
import { subject } from "./subject.ts";

const CALLS = 5_000;
const MOVES = 500;

function sum(objects: JsonObject[], field: string): number {
  return objects.reduce((total, object) => total + object[field], 0);
}

export const top = subject({
  name: "top",
  limitSeconds: 120,
  async gather(guest) {
    const actor = { path: `${guest.data}/syscall_actor` };
    const cli = new Cli(await testNet(guest), ["top", "--json", "--window", "500", "--top", "1000"]);
    await cli.ready();
    const called = await runActor(actor, ["calls", `${CALLS}`]);
    const moved = await runActor(actor, ["move", `${MOVES}`]);
    cli.kill("SIGINT");
    const { code, stderr, objects } = await cli.result();
    const windows = objects.filter(({ type }) => type === "processes");
    const callsOf = (pid: number): JsonObject[] =>
      windows.flatMap(({ top }) => top).filter((row: JsonObject) => row.pid === pid).flatMap(({ syscalls }) =>
        syscalls
      );
    return {
      code,
      stderr,
      objects,
      windows,
      called: callsOf(called.pid),
      moved: callsOf(moved.pid),
      bytes: moved.results,
    };
  },
  checks: {
    "calls and errors of a process are those that it made": ({ called }) => {
      const of = (name: string) => called.filter((call) => call.name === name);
      assertEquals([sum(of("getppid"), "calls"), sum(of("getppid"), "errors")], [CALLS, 0]);
      assertEquals([sum(of("close"), "calls"), sum(of("close"), "errors")], [CALLS, CALLS]);
      assertGreater(sum(of("getppid"), "time_ns"), 0);
    },
    "bytes of a process are those that it moved": ({ moved, bytes }) => {
      assertEquals(sum(moved.filter(({ name }) => name === "pwrite64"), "bytes_out"), bytes[0]);
      assertEquals(sum(moved.filter(({ name }) => name === "readv"), "bytes_in"), bytes[1]);
    },
    "windows follow each other, balance, and add up to the summary": ({ code, stderr, windows, objects }) => {
      assertEquals([code, stderr], [0, []]);
      assertGreater(windows.length, 0);
      windows.forEach((window, i) => {
        assertEquals([window.sequence, window.balanced], [i, true]);
        if (i > 0) assertEquals(window.start_ns, windows[i - 1].end_ns);
      });
      const summary = objects.at(-1)!;
      assertEquals([summary.type, summary.balanced], ["summary", true]);
      assertEquals(summary.seen_calls, sum(windows, "seen_calls"));
    },
  },
});
