/** Which programs are chosen, and what the ones without the kernel's BTF see where this kernel takes them. */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { UnsupportedError } from "../lib/errors.ts";
import { readRouterElfs, type RouterElfs } from "../lib/ffi/router_programs.ts";
import { EVENT_TYPES, type EventType } from "../lib/router/protocol.ts";
import { assertThrows } from "./assert.ts";
import { ASSETS_DIR } from "./support/bpf.ts";
import { Actor, Watch } from "./support/router.ts";

/** Stands for an object that needs BTF where the kernel has none: libbpf refuses it when it is opened or loaded. */
function withoutBtf(): RouterElfs {
  return { ...readRouterElfs(ASSETS_DIR), btf: new Uint8Array(64) };
}

/** Where it is on, no program may read the kernel's memory by address. */
function isLockedDown(): boolean {
  try {
    return Deno.readTextFileSync("/sys/kernel/security/lockdown").includes("[confidentiality]");
  } catch {
    return false;
  }
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
  assertEquals([...watch.probe.ways], [["process_exit", "raw tracepoint sched_process_exit, without kernel BTF"]]);
  assertGreater(watch.probe.notices.length, 0);
  const { pid } = await actor.run("exit", "7");
  watch.finish();
  assertEquals(watch.of("process_exit").map((event) => [event.pid, event.uid, event.exitCode, event.incomplete]), [
    [pid, 0, undefined, true],
  ]);
});

Deno.test("RouterProbe says in one line what the kernel refuses, and watches the other sources", () => {
  const sources: EventType[] = ["process_exit", "file_open"];
  using watch = new Watch({ sources }, withoutBtf());
  const { ways, lacking, notices } = watch.probe;
  if (!isLockedDown()) {
    assertEquals([[...ways.keys()], lacking], [sources, []]);
    return;
  }
  assertEquals([...ways.keys()], ["process_exit"]);
  assertEquals(lacking.map(({ source }) => source), ["file_open"]);
  assert(/^system calls are not seen: the kernel refuses the program, E[A-Z]+$/.test(lacking[0].why));
  assert([...notices, ...lacking.map(({ remedy }) => remedy)].every((text) => text !== "" && !text.includes("\n")));
});

Deno.test("RouterProbe names both refusals when the kernel takes neither object", () => {
  const nothing = { btf: new Uint8Array(64), raw: new Uint8Array(64) };
  const error = assertThrows(() => new Watch({ sources: ["process_exit"] }, nothing), UnsupportedError);
  assert(/^Cannot watch events: .+; and without kernel BTF: .+$/.test(error.message), error.message);
});
