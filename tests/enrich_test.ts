/** Enrichment of real processes: events from the kernel, facts from /proc. */
import { assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "./assert.ts";
import { cgroupId } from "../lib/ffi/cgroup.ts";
import { EVENT_TYPE } from "../lib/wire/layouts.gen.ts";
import { monotonicNs, readKernelFile } from "../lib/ffi/libc.ts";
import { ProcSource } from "../lib/processes/proc_source.ts";
import { EnrichStage } from "../lib/pipeline/enrich_stage.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { ProcessCache } from "../lib/processes/process_cache.ts";
import type { ProcessInfo } from "../lib/processes/process_info.ts";
import { parsePasswd, Users } from "../lib/processes/users.ts";
import { RINGS } from "../lib/events/event.ts";
import { ACTOR, Actor, EVERYTHING, Watch } from "./support/router.ts";

const MOUNT = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(readKernelFile("/proc/self/mountinfo"))![1];
const BATCH_BYTES = 1 << 20;
/** More than there can be in these tests. */
const LOOKS = 10_000;

const nowNs = () => Number(monotonicNs());

/** A cache of this host and the stage over it. */
function openEnrichment(): { cache: ProcessCache; stage: EnrichStage } {
  const source = new ProcSource();
  const cache = new ProcessCache(source, new Users(source));
  return { cache, stage: new EnrichStage(cache) };
}

/** What all rings of a watch hold, ring by ring, so that times go forth and back. */
function takeBatch(watch: Watch): EventBatch {
  const batch = new EventBatch(BATCH_BYTES);
  RINGS.forEach((ring, index) =>
    watch.probe.rings.read(ring, (data, offset, lengthBytes) => {
      const at = batch.usedBytes;
      batch.bytes.set(new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes), at);
      batch.offsets[batch.count] = at;
      batch.lengths[batch.count] = lengthBytes;
      batch.ring[batch.count++] = index;
      batch.usedBytes += lengthBytes + 7 & ~7;
    })
  );
  return batch;
}

/** No event comes after this; what there were. */
function finish(watch: Watch): EventBatch {
  watch.probe.detach();
  watch.probe.fence();
  return takeBatch(watch);
}

function eventsOf(batch: EventBatch, pid: number): { type: number; process: ProcessInfo | null }[] {
  return Array.from({ length: batch.count }, (_, i) => i).filter((i) => batch.pid(i) === pid)
    .map((i) => ({ type: batch.type(i), process: batch.process[i] }));
}

/** A cgroup named as a runtime names a container's; whoever is in it has to be gone in the end. */
class ContainerCgroup implements AsyncDisposable {
  readonly id = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  readonly path = `${MOUNT}/docker-${this.id}.scope`;

  static async create(): Promise<ContainerCgroup> {
    const cgroup = new ContainerCgroup();
    const { success, stderr } = await new Deno.Command("mkdir", { args: [cgroup.path] }).output();
    if (!success) throw new Error(`Cannot make a cgroup: ${new TextDecoder().decode(stderr)}`);
    return cgroup;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { success, stderr } = await new Deno.Command("rmdir", { args: [this.path] }).output();
    if (!success) throw new Error(`Cannot remove a cgroup: ${new TextDecoder().decode(stderr)}`);
  }

  /** A command that runs another one in it, as this user. */
  command(uid: number, program: string, args: string[], stdin: "null" | "piped" = "null"): Deno.Command {
    const script = 'echo $$ >"$1/cgroup.procs"; uid=$2; shift 2; exec setpriv --reuid "$uid" --clear-groups -- "$@"';
    return new Deno.Command("/bin/sh", {
      args: ["-c", script, "sh", this.path, String(uid), program, ...args],
      stdin,
      stdout: "null",
      stderr: "inherit",
    });
  }
}

Deno.test("fill() tells of running processes what /proc, the passwd file and their cgroup tell", async () => {
  await using actor = await Actor.build();
  await using cgroup = await ContainerCgroup.create();
  const [uid, user] = [...parsePasswd(await Deno.readTextFile("/etc/passwd"))].find(([uid]) => uid > 0)!;
  const beforeNs = nowNs();
  // Waits for a byte that does not come until the end.
  const child = cgroup.command(uid, actor.path, ["flood", "/none", "0"], "piped").spawn();
  try {
    while (readKernelFile(`/proc/${child.pid}/comm`) !== `${ACTOR}\n`) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { cache } = openEnrichment();
    cache.fill(nowNs());
    const info = cache.find(child.pid, nowNs(), uid, Number(cgroupId(cgroup.path)))!;
    assertEquals(
      [info.name, info.exe, info.ppid, info.uid, info.user, info.containerId, info.podUid],
      [ACTOR, actor.path, Deno.pid, uid, user, cgroup.id, ""],
    );
    assertEquals(`${info.parentName}\n`, readKernelFile("/proc/self/comm"));
    assertGreaterOrEqual(info.startNs, beforeNs - 2e7);
    assertLessOrEqual(info.startNs, nowNs());
    assertEquals(`${cache.find(1, nowNs(), 0, 1)?.name}\n`, readKernelFile("/proc/1/comm"));
    assertEquals(cache.stats().misses, 0);
  } finally {
    await child.stdin.close();
    await child.status;
  }
});

Deno.test("processes that ended before their events were read are known by their exec, in their container", async () => {
  await using actor = await Actor.build();
  await using cgroup = await ContainerCgroup.create();
  const { cache, stage } = openEnrichment();
  cache.fill(nowNs());
  using watch = new Watch({ sources: ["process_exec", "file_open", "process_exit"] });
  const [uid, user] = [...parsePasswd(await Deno.readTextFile("/etc/passwd"))].find(([uid]) => uid > 0)!;
  const pids: number[] = [];
  for (let i = 0; i < 3; i++) {
    const child = cgroup.command(uid, actor.path, ["opens", actor.dir]).spawn();
    pids.push(child.pid);
    await child.status;
  }
  const batch = finish(watch);
  stage.run(batch);
  // Nobody can be asked any more.
  cache.refresh(LOOKS, nowNs());
  batch.next = 0;
  stage.run(batch);
  for (const pid of pids) {
    const events = eventsOf(batch, pid);
    assertGreater(events.length, 1);
    for (const { process } of events) {
      assertEquals(
        [process?.name, process?.exe, process?.ppid, process?.uid, process?.user, process?.containerId],
        [ACTOR, actor.path, Deno.pid, uid, user, cgroup.id],
      );
      assertEquals(`${process?.parentName}\n`, readKernelFile("/proc/self/comm"));
    }
    assertEquals(events.filter(({ type }) => type === EVENT_TYPE.EVENT_PROCESS_EXEC).length, 1);
  }
  assertEquals(cache.stats().misses, 0);
});

Deno.test("a shell that becomes another program is both, each at its time", async () => {
  const { cache, stage } = openEnrichment();
  cache.fill(nowNs());
  using watch = new Watch({ sources: ["process_exec", "file_open"], only: EVERYTHING });
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", "read line </etc/hostname; exec cat /etc/hostname"],
    stdout: "null",
  }).spawn();
  await child.status;
  const batch = finish(watch);
  stage.run(batch);
  const opens = Array.from({ length: batch.count }, (_, i) => i)
    .filter((i) => batch.pid(i) === child.pid && batch.type(i) === EVENT_TYPE.EVENT_FILE_OPEN)
    .sort((a, b) => batch.tsNs(a) - batch.tsNs(b)).map((i) => batch.process[i]?.name);
  assertEquals(opens.filter((name, i) => name !== opens[i - 1]), ["sh", "cat"]);
});

Deno.test("a process that forked before anybody looked is known after the next refresh", async () => {
  await using actor = await Actor.build();
  const { cache } = openEnrichment();
  const running = actor.start("flood", "/none", "0");
  try {
    const first = cache.find(running.pid, nowNs(), 0, 1) ??
      cache.meet({ pid: running.pid, tsNs: nowNs(), uid: 0, cgroupId: 1, comm: "thread-3" });
    assertEquals([first.name, first.exe], ["thread-3", ""]);
    cache.refresh(LOOKS, nowNs());
    const second = cache.find(running.pid, nowNs(), 0, 1)!;
    assertEquals([second.name, second.exe, second.ppid], [ACTOR, actor.path, Deno.pid]);
  } finally {
    await running.go();
    await running.done;
  }
});
