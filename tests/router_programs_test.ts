/** Which programs are chosen, and what the ones without the kernel's BTF see where this kernel takes them. */
import { assert, assertEquals, assertGreater, assertThrows } from "./assert.ts";
import { UnsupportedError } from "../lib/runtime/errors.ts";
import { readRouterElfs, type RouterElfs } from "../lib/router/router_programs.ts";
import { EVENT_TYPES, type EventType, type RouterEvent } from "../lib/events/event.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./support/bpf.ts";
import { Actor, Watch } from "./support/router.ts";

/** Stands for an object that needs BTF where the kernel has none: libbpf refuses it when it is opened or loaded. */
function withoutBtf(): RouterElfs {
  return { ...readRouterElfs(ASSETS_DIR), btf: new Uint8Array(64) };
}

const PROG_TYPE_RAW_TRACEPOINT = 17, FUNC_PROBE_READ_KERNEL = 113;

/** Whether programs may read the kernel's memory by address: lockdown may forbid it. */
function canReadKernel(): boolean {
  using libbpf = openSystemLibbpf();
  return libbpf.symbols.libbpf_probe_bpf_helper(PROG_TYPE_RAW_TRACEPOINT, FUNC_PROBE_READ_KERNEL, null) === 1;
}

/** What two programs that see the same event must agree on; times and CPUs may differ. */
function comparable(events: RouterEvent[]): Partial<RouterEvent>[] {
  return events.map(({ tsNs: _tsNs, firstNs: _firstNs, cpu: _cpu, ...event }) => event);
}

Deno.test("RouterProbe watches every source by the kernel's BTF, and says so", () => {
  using watch = new Watch();
  const { ways, lacking, notices, sources } = watch.probe;
  assertEquals([[...ways.keys()], sources], [[...EVENT_TYPES], [...EVENT_TYPES]]);
  assertEquals([lacking, notices], [[], []]);
  assertEquals(ways.get("file_open"), "BTF tracepoint sys_exit");
  assertEquals(ways.get("resource_limit"), "BTF tracepoint sys_exit; BTF tracepoint mark_victim");
  assert([...ways.values()].every((way) => way.startsWith("BTF tracepoint ")));
});

Deno.test("RouterProbe falls back on raw tracepoints; an exit then has no status, rather than 0", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["process_exit"] }, withoutBtf());
  assertEquals([...watch.probe.ways], [["process_exit", "raw tracepoint sched_process_exit"]]);
  assertGreater(watch.probe.notices.length, 0);
  const { pid } = await actor.run("exit", "7");
  watch.finish();
  assertEquals(watch.of("process_exit").map((event) => [event.pid, event.uid, event.exitCode, event.incomplete]), [
    [pid, 0, undefined, true],
  ]);
});

Deno.test("programs without the kernel's BTF see the same opens, connects, refusals and limits", async () => {
  if (!canReadKernel()) return;
  await using actor = await Actor.build();
  const sources: EventType[] = ["file_open", "network_connect", "security_violation", "resource_limit"];
  using typed = new Watch({ sources });
  // Where tracefs is not there, victims are not seen, and nothing else.
  using raw = new Watch({ sources }, withoutBtf());
  assertEquals([raw.probe.sources, raw.probe.ways.get("file_open")], [
    sources,
    "raw tracepoint sys_exit",
  ]);
  for (
    const action of [["opens", actor.dir], ["connects", "9", "9"], ["violations", actor.dir], ["limits"], ["foreign"]]
  ) {
    await actor.run(...action);
  }
  typed.finish();
  raw.finish();
  for (const source of sources) {
    assertGreater(typed.of(source).length, 1);
    assertEquals(comparable(raw.of(source)), comparable(typed.of(source)));
  }
});

Deno.test("programs without the kernel's BTF see an exec where it returns, with everything but its parent", async () => {
  if (!canReadKernel()) return;
  await using actor = await Actor.build();
  using typed = new Watch({ sources: ["process_exec"] });
  using raw = new Watch({ sources: ["process_exec"] }, withoutBtf());
  await actor.run("exit", "7", "two words", "\x1b[2J\n", "");
  await actor.run("nothing", "y".repeat(5_000));
  // The last argument is empty; the environment is empty, small, large, and larger than the program looks through.
  const run = (env: Record<string, string>) =>
    new Deno.Command(actor.path, { args: ["exit", "0", ""], clearEnv: true, env, stdout: "null" }).output();
  const large = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`V${i}`, "x"]));
  for (const env of [{}, { A: "" }, large]) await run(env);
  const tooLarge = Object.fromEntries(Array.from({ length: 1_100 }, (_, i) => [`V${i}`, "x"]));
  await run(tooLarge);
  typed.finish();
  raw.finish();
  const expected: Partial<RouterEvent>[] = typed.of("process_exec")
    .map(({ ppid: _ppid, ...event }) => ({ ...event, incomplete: true as const }));
  assertEquals(expected.length, 6);
  Object.assign(expected[5], { filename: "", unreadable: true });
  assertEquals(comparable(raw.of("process_exec")), comparable(expected as RouterEvent[]));
});

Deno.test("RouterProbe says in one line what the kernel refuses, and watches the other sources", () => {
  const sources: EventType[] = ["process_exit", "file_open"];
  using watch = new Watch({ sources }, withoutBtf());
  const { ways, lacking, notices } = watch.probe;
  if (canReadKernel()) {
    assertEquals([[...ways.keys()], lacking], [sources, []]);
    return;
  }
  assertEquals([...ways.keys()], ["process_exit"]);
  assertEquals(lacking.map(({ source }) => source), ["file_open"]);
  assert(/^system calls are not seen: .+$/.test(lacking[0].why), lacking[0].why);
  assert([...notices, ...lacking.map(({ remedy }) => remedy)].every((text) => text !== "" && !text.includes("\n")));
});

Deno.test("RouterProbe names both refusals when the kernel takes neither object", () => {
  const nothing = { btf: new Uint8Array(64), raw: new Uint8Array(64) };
  const error = assertThrows(() => new Watch({ sources: ["process_exit"] }, nothing), UnsupportedError);
  assert(/^Cannot watch events: .+; without the kernel's BTF: .+$/.test(error.message), error.message);
});
