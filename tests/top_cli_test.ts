/** `ebpfmon top` as its users meet it, beside processes that know what they did. */
import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes } from "./assert.ts";
import { Cli, type CliResult, type JsonObject, runCli } from "./support/cli.ts";
import { TestNet } from "./support/namespaces.ts";
import { SyscallActor } from "./support/processes.ts";

const ARGS = ["top", "--json", "--window", "200"];

function windowsOf({ objects }: CliResult): JsonObject[] {
  return objects.filter(({ type }) => type === "processes");
}

/** The rows of one process in all windows. */
function rowsOf(result: CliResult, pid: number): JsonObject[] {
  return windowsOf(result).flatMap(({ top }) => top).filter((row: JsonObject) => row.pid === pid);
}

// deno-lint-ignore no-explicit-any
function sum(objects: any[], field: string): number {
  return objects.reduce((total, object) => total + object[field], 0);
}

/** Every window follows the one before and holds the equation; the summary is their sum. */
function assertAddsUp(result: CliResult): void {
  assertEquals([result.code, result.stderr], [0, []]);
  const windows = windowsOf(result);
  assertGreater(windows.length, 0);
  windows.forEach((window, i) => {
    assertEquals([window.sequence, window.balanced], [i, true]);
    if (i > 0) assertEquals(window.start_ns, windows[i - 1].end_ns);
    for (const unit of ["calls", "errors", "time_ns"]) {
      assertEquals(window[`seen_${unit}`], window[`counted_${unit}`] + window[`overflow_${unit}`]);
    }
  });
  const summary = result.objects.at(-1)!;
  assertEquals([summary.type, summary.balanced, summary.windows], ["summary", true, windows.length]);
  for (const field of ["seen_calls", "seen_errors", "seen_time_ns", "overflow_calls"]) {
    assertEquals(summary[field], sum(windows, field), field);
  }
}

Deno.test("top --json counts a process's calls, errors and bytes as it knows them, over windows", async () => {
  await using net = await TestNet.create();
  await using actor = await SyscallActor.build();
  const cli = new Cli(net, [...ARGS, "--top", "1000"]);
  assertEquals((await cli.ready()).interfaces, []);
  const called = await actor.run("calls", "50000");
  const moved = await actor.run("move", "1000");
  cli.kill("SIGINT");
  const result = await cli.result();
  assertAddsUp(result);

  const rows = rowsOf(result, called.pid);
  const ofKind = (name: string) => rows.flatMap(({ syscalls }) => syscalls).filter((call) => call.name === name);
  assertEquals([sum(ofKind("getppid"), "calls"), sum(ofKind("getppid"), "errors")], [50_000, 0]);
  assertEquals([sum(ofKind("close"), "calls"), sum(ofKind("close"), "errors")], [50_000, 50_000]);
  assertGreater(sum(ofKind("getppid"), "time_ns"), 0);
  assertLess(sum(ofKind("getppid"), "time_ns"), called.numbers[0]);
  assertEquals(rows.map(({ comm, uid, user }) => ({ comm, uid, user })), [
    ...rows.map(() => ({ comm: actor.comm, uid: 0, user: "root" })),
  ]);
  const calls = rowsOf(result, moved.pid).flatMap(({ syscalls }) => syscalls);
  assertEquals(sum(calls.filter(({ name }) => name === "pwrite64"), "bytes_out"), moved.numbers[0]);
  assertEquals(sum(calls.filter(({ name }) => name === "readv"), "bytes_in"), moved.numbers[1]);
});

Deno.test("top --syscall and --comm leave only what was chosen, and count all the same", async () => {
  await using net = await TestNet.create();
  await using actor = await SyscallActor.build();
  const cli = new Cli(net, [...ARGS, "--syscall", "getppid", "--comm", actor.comm, "--sort", "time"]);
  await cli.ready();
  const { pid } = await actor.run("calls", "3000");
  cli.kill("SIGTERM");
  const result = await cli.result();
  assertAddsUp(result);
  const windows = windowsOf(result);
  assertEquals(sum(windows, "matched_calls"), 3_000);
  assertGreater(sum(windows, "counted_calls"), 6_000);
  const rows = windows.flatMap(({ top }) => top);
  assertEquals([...new Set(rows.map((row) => row.pid))], [pid]);
  assertEquals(sum(rows, "calls"), 3_000);
  assertEquals([...new Set(windows.flatMap(({ syscalls }) => syscalls).map(({ name }) => name))], ["getppid"]);
});

Deno.test("top --by user and --by syscall add up over processes", async () => {
  await using net = await TestNet.create();
  await using actor = await SyscallActor.build();
  await Deno.chmod(actor.dir, 0o755);
  const cli = new Cli(net, [...ARGS, "--by", "user", "--syscall", "getppid", "--top", "1000"]);
  await cli.ready();
  for (const uid of [54_321, 54_321, 54_322]) {
    await new Deno.Command(actor.path, { args: ["calls", "1000"], uid, stdout: "null" }).output();
  }
  cli.kill("SIGINT");
  const result = await cli.result();
  assertAddsUp(result);
  const groups = windowsOf(result).flatMap(({ groups }) => groups);
  const calls = (user: string) => sum(groups.filter((group: JsonObject) => group.user === user), "calls");
  assertEquals([calls("54321"), calls("54322")], [2_000, 1_000]);
  const kinds = windowsOf(result).flatMap(({ syscalls }) => syscalls);
  assertEquals(sum(kinds.filter(({ name }) => name === "getppid"), "calls"), sum(windowsOf(result), "matched_calls"));
});

Deno.test("top --sampling says that it estimates, and how many calls it left out", async () => {
  await using net = await TestNet.create();
  await using actor = await SyscallActor.build();
  const cli = new Cli(net, [...ARGS, "--sampling", "10", "--syscall", "getppid", "--comm", actor.comm]);
  await cli.ready();
  await actor.run("calls", "200000");
  cli.kill("SIGINT");
  const result = await cli.result();
  assertAddsUp(result);
  const windows = windowsOf(result);
  assert(windows.every(({ sampling }) => sampling === 10));
  assertGreater(sum(windows, "passed_over_calls"), 300_000);
  // Standard error: sqrt((10 - 1) / 200,000) = 0.7 %; six of them.
  assertLess(Math.abs(sum(windows, "matched_calls") / 200_000 - 1), 0.042);
});

Deno.test("top prints tables where the output is no terminal, and ends by --duration with a summary", async () => {
  await using net = await TestNet.create();
  const { code, stdout, stderr } = await runCli(net, ["top", "--duration", "0.5", "--window", "200", "--top", "3"]);
  assertEquals([code, stderr], [0, []]);
  const text = stdout.join("\n");
  assertStringIncludes(text, "=== Top Processes by Calls ===");
  assertStringIncludes(text, "CALLS/s▼");
  assertStringIncludes(text, "Accounting: seen = counted + overflow");
});

Deno.test("top without privileges names the capabilities in one line, with exit code 3", async () => {
  await using net = await TestNet.create();
  const { code, stdout, stderr } = await runCli(net, ARGS, [
    "setpriv",
    "--bounding-set",
    "-all",
    "--inh-caps",
    "-all",
  ]);
  assertEquals([code, stdout.length, stderr.length], [3, 0, 1]);
  assertStringIncludes(stderr[0], "Cannot watch process activity: CAP_BPF");
});
