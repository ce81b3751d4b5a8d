import { assert, assertEquals, assertLess, assertStrictEquals } from "../../tests/assert.ts";
import { ProcessCache, type ProcessCacheOptions } from "./process_cache.ts";
import type { ProcessFacts, ProcessSource } from "./process_source.ts";
import { Users } from "./users.ts";

const SECOND_NS = 1e9;
const CONTAINER = "c7".repeat(32);
const OTHER = "d8".repeat(32);
const ROOT_CGROUP = 1, DOCKER_CGROUP = 50;

/** A host in memory. */
class FakeHost implements ProcessSource {
  readonly processes = new Map<number, ProcessFacts>();
  readonly cgroups = new Map<bigint, string>([[1n, "/"], [50n, `/docker/${CONTAINER}`]]);
  passwd = "root:x:0:0::/:\nalice:x:1000:1000::/:\n";
  passwdVersion = 1;
  readonly asked: number[] = [];

  add(facts: Partial<ProcessFacts> & { pid: number }): void {
    this.processes.set(facts.pid, {
      startNs: 1 * SECOND_NS,
      readNs: 100 * SECOND_NS,
      name: `p${facts.pid}`,
      ppid: 1,
      exe: `/bin/p${facts.pid}`,
      cgroups: "0::/\n",
      ...facts,
    });
  }

  list(): Iterable<number> {
    return this.processes.keys();
  }

  read(pid: number): ProcessFacts | null {
    this.asked.push(pid);
    return this.processes.get(pid) ?? null;
  }

  cgroupPath(id: bigint): string | null | undefined {
    return this.cgroups.get(id) ?? null;
  }

  cache(options?: ProcessCacheOptions): ProcessCache {
    return new ProcessCache(
      this,
      new Users({ passwdStamp: () => this.passwdVersion, passwdText: () => this.passwd }),
      options,
    );
  }
}

/** What an event shows: as the stage asks. */
function at(
  cache: ProcessCache,
  pid: number,
  seconds: number,
  more: { uid?: number; cgroupId?: number; comm?: string } = {},
) {
  const { uid = 0, cgroupId = ROOT_CGROUP, comm = "thread" } = more;
  const tsNs = seconds * SECOND_NS;
  return cache.find(pid, tsNs, uid, cgroupId) ?? cache.meet({ pid, tsNs, uid, cgroupId, comm });
}

function exec(
  cache: ProcessCache,
  pid: number,
  seconds: number,
  filename: string,
  more: { ppid?: number; uid?: number; cgroupId?: number } = {},
) {
  const { ppid = 1, uid = 0, cgroupId = ROOT_CGROUP } = more;
  cache.exec({ pid, tsNs: seconds * SECOND_NS, uid, cgroupId, comm: filename.split("/").at(-1)!, ppid, filename });
}

Deno.test("fill() knows what /proc has: names, parents whatever their order, containers", () => {
  const host = new FakeHost();
  host.add({ pid: 7, ppid: 3, name: "sh", exe: "/bin/sh", cgroups: `4:memory:/docker/${OTHER}\n0::/\n` });
  host.add({ pid: 3, name: "init", ppid: 0 });
  const cache = host.cache();
  cache.fill(100 * SECOND_NS);
  const info = at(cache, 7, 101, { uid: 1000 });
  assertEquals(
    [info.name, info.ppid, info.parentName, info.exe, info.uid, info.user, info.containerId, info.startNs],
    ["sh", 3, "init", "/bin/sh", 1000, "alice", OTHER, SECOND_NS],
  );
  const { hits, misses, entries, lookups, failures } = cache.stats();
  assertEquals({ hits, misses, entries, lookups, failures }, {
    hits: 1,
    misses: 0,
    entries: 2,
    lookups: 2,
    failures: 0,
  });
});

Deno.test("an exec shows in later events and not in earlier ones, in whatever order they are read", () => {
  const cache = new FakeHost().cache();
  exec(cache, 9, 20, "/bin/second");
  exec(cache, 9, 10, "/bin/first");
  exec(cache, 9, 30, "/bin/third");
  assertEquals([10, 19, 20, 29.9, 30, 99].map((seconds) => at(cache, 9, seconds).exe), [
    "/bin/first",
    "/bin/first",
    "/bin/second",
    "/bin/second",
    "/bin/third",
    "/bin/third",
  ]);
  // Before the first that is known there is the record alone.
  assertEquals([at(cache, 9, 5).name, at(cache, 9, 5).exe], ["thread", ""]);
});

Deno.test("an exec that is read twice counts once", () => {
  const cache = new FakeHost().cache();
  for (let i = 0; i < 5; i++) exec(cache, 9, 20, "/bin/ls");
  exec(cache, 9, 10, "/bin/sh");
  assertEquals(at(cache, 9, 15).name, "sh");
});

Deno.test("a relative file name is no executable, until /proc tells it", () => {
  const host = new FakeHost();
  const cache = host.cache();
  exec(cache, 9, 20, "./ls");
  assertEquals([at(cache, 9, 21).name, at(cache, 9, 21).exe], ["ls", ""]);
  host.add({ pid: 9, startNs: 15 * SECOND_NS, readNs: 22 * SECOND_NS, name: "ls", exe: "/usr/bin/ls" });
  cache.refresh(10, 22 * SECOND_NS);
  assertEquals([at(cache, 9, 23).exe, at(cache, 9, 23).startNs], ["/usr/bin/ls", 15 * SECOND_NS]);
});

Deno.test("a file name that only the process itself can follow is no executable", () => {
  const cache = new FakeHost().cache();
  exec(cache, 9, 20, "/usr/bin/runc");
  exec(cache, 9, 21, "/proc/self/exe");
  exec(cache, 10, 22, "/proc/self/exe", { ppid: 9 });
  exec(cache, 11, 22, "/proc/self/exe", { ppid: 8 });
  exec(cache, 12, 22, "/dev/fd/5");
  exec(cache, 13, 22, "/proc/self/fd/5");
  assertEquals([9, 10, 11, 12, 13].map((pid) => at(cache, pid, 23).exe), [
    "/usr/bin/runc",
    "/usr/bin/runc",
    "",
    "",
    "",
  ]);
});

Deno.test("what /proc shows of a later program is not told of the one before", () => {
  const host = new FakeHost();
  const cache = host.cache();
  exec(cache, 9, 20, "/bin/sh");
  host.add({ pid: 9, startNs: 15 * SECOND_NS, readNs: 22 * SECOND_NS, name: "ls", exe: "/usr/bin/ls" });
  cache.refresh(10, 22 * SECOND_NS);
  assertEquals([at(cache, 9, 20.5).name, at(cache, 9, 20.5).exe], ["sh", "/bin/sh"]);
  exec(cache, 9, 21, "/bin/ls");
  assertEquals([at(cache, 9, 20.5).name, at(cache, 9, 21).name], ["sh", "ls"]);
});

Deno.test("an exec that /proc showed already changes what it showed into that program", () => {
  const host = new FakeHost();
  const cache = host.cache();
  assertEquals(at(cache, 9, 19, { comm: "sh" }).name, "sh");
  host.add({ pid: 9, startNs: 10 * SECOND_NS, readNs: 22 * SECOND_NS, name: "ls", exe: "/usr/bin/ls" });
  cache.refresh(10, 22 * SECOND_NS);
  exec(cache, 9, 20, "/bin/ls");
  assertEquals([at(cache, 9, 21).exe, at(cache, 9, 19, { comm: "sh" }).name], ["/usr/bin/ls", "sh"]);
});

Deno.test("an unknown process shows what its record has, at once, and what /proc has, after a refresh", () => {
  const host = new FakeHost();
  host.add({ pid: 5, ppid: 4, name: "worker", exe: "/opt/worker" });
  host.add({ pid: 4, name: "master" });
  const cache = host.cache();
  const first = at(cache, 5, 50, { comm: "worker/3" });
  assertEquals([first.name, first.exe, first.ppid, first.startNs, host.asked.length], ["worker/3", "", 0, 0, 0]);
  cache.refresh(10, 51 * SECOND_NS);
  const second = at(cache, 5, 52, { comm: "worker/3" });
  assertEquals([second.name, second.exe, second.parentName], ["worker", "/opt/worker", "master"]);
  const { hits, misses, hitRatio } = cache.stats();
  assertEquals({ hits, misses, hitRatio }, { hits: 1, misses: 1, hitRatio: 0.5 });
});

Deno.test("the same process is the same object, for as long as nothing new is known of it", () => {
  const cache = new FakeHost().cache();
  exec(cache, 9, 20, "/bin/ls");
  assertStrictEquals(at(cache, 9, 21), at(cache, 9, 22));
  const asAlice = at(cache, 9, 23, { uid: 1000 });
  assertEquals(asAlice.uid, 1000);
  assertEquals(at(cache, 9, 24).uid, 0);
  assertStrictEquals(at(cache, 9, 25, { uid: 1000 }), asAlice);
});

Deno.test("a pid that is gone is not asked for again and again", () => {
  const host = new FakeHost();
  const cache = host.cache();
  for (let seconds = 1; seconds < 10; seconds++) {
    at(cache, 77, seconds);
    cache.refresh(10, seconds * SECOND_NS);
  }
  assertEquals(host.asked, [77]);
  at(cache, 77, 12);
  cache.refresh(10, 12 * SECOND_NS);
  assertEquals(host.asked, [77, 77]);
  assertEquals(cache.stats().failures, 2);
});

Deno.test("a process that has ended is answered from the cache", () => {
  const host = new FakeHost();
  host.add({ pid: 1, name: "init", ppid: 0 });
  const cache = host.cache();
  cache.fill(100 * SECOND_NS);
  exec(cache, 9, 120, "/bin/true");
  cache.exit(9, 120.001 * SECOND_NS);
  cache.refresh(10, 125 * SECOND_NS);
  for (const seconds of [120, 120.0005, 120.5]) {
    const info = at(cache, 9, seconds);
    assertEquals([info.name, info.exe, info.parentName], ["true", "/bin/true", "init"]);
  }
});

Deno.test("a pid that is handed out again is another process, by exit, by exec and by /proc", () => {
  const host = new FakeHost();
  const byExit = host.cache();
  exec(byExit, 9, 20, "/bin/old");
  byExit.exit(9, 21 * SECOND_NS);
  assertEquals([at(byExit, 9, 50, { comm: "new" }).name, at(byExit, 9, 20.5).name], ["new", "old"]);
  assertEquals(byExit.stats().stale, 1);

  const byExec = host.cache();
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 10 * SECOND_NS, name: "old" });
  byExec.fill(10 * SECOND_NS);
  byExec.exit(9, 21 * SECOND_NS);
  exec(byExec, 9, 21.5, "/bin/new");
  assertEquals([at(byExec, 9, 22).name, at(byExec, 9, 22).startNs, at(byExec, 9, 20).name], ["new", 0, "old"]);
  assertEquals(byExec.stats().stale, 1);

  // Nobody saw the old one's end; the new one has another uid.
  const byProc = host.cache();
  byProc.fill(10 * SECOND_NS);
  assertEquals(at(byProc, 9, 30).name, "old");
  host.add({ pid: 9, startNs: 40 * SECOND_NS, readNs: 51 * SECOND_NS, name: "new" });
  at(byProc, 9, 50, { uid: 1000 });
  byProc.refresh(10, 51 * SECOND_NS);
  assertEquals([at(byProc, 9, 52, { uid: 1000 }).name, at(byProc, 9, 39).name], ["new", "old"]);
  assertEquals(byProc.stats().stale, 1);
});

Deno.test("a program whose exec no event told of is found at the next look, once a minute", () => {
  const host = new FakeHost();
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 10 * SECOND_NS, name: "sh", exe: "/bin/sh" });
  const cache = host.cache();
  cache.fill(10 * SECOND_NS);
  const looks = () => host.asked.filter((pid) => pid === 9).length;
  const first = at(cache, 9, 69);
  cache.refresh(10, 69 * SECOND_NS);
  assertEquals(looks(), 1);
  // The same program, renamed and replaced on disk.
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 71 * SECOND_NS, name: "sh", exe: "/bin/sh (deleted)" });
  assertStrictEquals(at(cache, 9, 71), first);
  cache.refresh(10, 71 * SECOND_NS);
  assertEquals([looks(), at(cache, 9, 72).exe, cache.stats().stale], [2, "/bin/sh (deleted)", 0]);
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 133 * SECOND_NS, name: "ls", exe: "/bin/ls" });
  const before = at(cache, 9, 132);
  cache.refresh(10, 133 * SECOND_NS);
  const after = at(cache, 9, 134);
  assertEquals([before.name, after.name, after.exe, after.startNs], ["sh", "ls", "/bin/ls", 2 * SECOND_NS]);
  assertEquals([at(cache, 9, 70).name, cache.stats().stale], ["sh", 1]);
  // Another process under the same pid.
  host.add({ pid: 9, startNs: 150 * SECOND_NS, readNs: 200 * SECOND_NS, name: "cat", exe: "/bin/cat" });
  at(cache, 9, 199);
  cache.refresh(10, 200 * SECOND_NS);
  assertEquals([at(cache, 9, 201).name, at(cache, 9, 149).name], ["cat", "ls"]);
});

Deno.test("a program that followed the one of the last exec event is found at the second look", () => {
  const host = new FakeHost();
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 21 * SECOND_NS, name: "ls", exe: "/bin/ls" });
  const cache = host.cache();
  exec(cache, 9, 20, "/bin/sh");
  cache.refresh(10, 21 * SECOND_NS);
  // The event of its exec may still be on its way.
  assertEquals(at(cache, 9, 22).name, "sh");
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 83 * SECOND_NS, name: "ls", exe: "/bin/ls" });
  at(cache, 9, 82);
  cache.refresh(10, 83 * SECOND_NS);
  assertEquals([at(cache, 9, 84).name, at(cache, 9, 84).exe, at(cache, 9, 20.5).name], ["ls", "/bin/ls", "sh"]);
});

Deno.test("a process whose parent ended has its new parent's number and name", () => {
  const host = new FakeHost();
  host.add({ pid: 1, name: "init", ppid: 0 });
  host.add({ pid: 5, name: "bash" });
  host.add({ pid: 9, ppid: 5 });
  const cache = host.cache();
  cache.fill(100 * SECOND_NS);
  const before = at(cache, 9, 170);
  host.processes.delete(5);
  host.add({ pid: 9, ppid: 1 });
  cache.refresh(10, 171 * SECOND_NS);
  const after = at(cache, 9, 172);
  assertEquals([before.ppid, before.parentName, after.ppid, after.parentName], [5, "bash", 1, "init"]);
});

Deno.test("cgroups that the source is looking for keep no process waiting", () => {
  const host = new FakeHost();
  const asked = new Set<bigint>();
  host.cgroupPath = (id) => void asked.add(id);
  const cache = host.cache();
  for (let pid = 100; pid < 140; pid++) {
    host.add({ pid, startNs: 0 });
    at(cache, pid, 1, { cgroupId: pid });
  }
  for (let turn = 0; turn < 40; turn++) cache.refresh(4, SECOND_NS + turn * 5e6);
  assertEquals(host.asked.filter((pid) => pid >= 100).length, 40);
  assertEquals(asked.size, 40);
});

Deno.test("a look that finds nothing new leaves a process the same object", () => {
  const host = new FakeHost();
  host.add({ pid: 9 });
  const cache = host.cache();
  cache.fill(100 * SECOND_NS);
  const first = at(cache, 9, 170);
  assert(cache.refresh(10, 171 * SECOND_NS) > 0);
  assertStrictEquals(at(cache, 9, 172), first);
});

Deno.test("an exit that is read after the next process's exec does not end that one", () => {
  const host = new FakeHost();
  host.add({ pid: 9, startNs: 2 * SECOND_NS, readNs: 10 * SECOND_NS, name: "old" });
  const cache = host.cache();
  cache.fill(10 * SECOND_NS);
  exec(cache, 9, 30, "/bin/new");
  assertEquals(at(cache, 9, 31).startNs, 2 * SECOND_NS); // taken for an exec of the old one
  cache.exit(9, 29 * SECOND_NS);
  assertEquals([at(cache, 9, 31).name, at(cache, 9, 31).startNs, at(cache, 9, 28).name], ["new", 0, "old"]);
  assertEquals(at(cache, 9, 99).name, "new");
});

Deno.test("an exit that is read before the exec it followed ends that program", () => {
  const cache = new FakeHost().cache();
  exec(cache, 9, 20, "/bin/sh");
  cache.exit(9, 22 * SECOND_NS);
  exec(cache, 9, 21, "/bin/ls");
  assertEquals([at(cache, 9, 21.5).name, at(cache, 9, 60, { comm: "other" }).name], ["ls", "other"]);
});

Deno.test("a container is known by the record's cgroup, and by /proc where everything is in the root", () => {
  const host = new FakeHost();
  const cache = host.cache();
  exec(cache, 9, 20, "/bin/ls", { cgroupId: DOCKER_CGROUP });
  assertEquals(at(cache, 9, 20, { cgroupId: DOCKER_CGROUP }).containerId, "");
  cache.refresh(10, 20 * SECOND_NS);
  assertEquals(at(cache, 9, 21, { cgroupId: DOCKER_CGROUP }).containerId, CONTAINER);
  // The next process of this container is gone before anybody could look.
  exec(cache, 10, 22, "/bin/true", { cgroupId: DOCKER_CGROUP });
  assertEquals(at(cache, 10, 22, { cgroupId: DOCKER_CGROUP }).containerId, CONTAINER);

  host.add({ pid: 30, name: "sh", cgroups: `2:pids:/docker/${OTHER}\n0::/\n`, readNs: 30 * SECOND_NS });
  at(cache, 30, 30);
  cache.refresh(10, 30 * SECOND_NS);
  assertEquals(at(cache, 30, 31).containerId, OTHER);
  exec(cache, 31, 32, "/bin/true", { ppid: 30 });
  assertEquals([at(cache, 31, 32).containerId, at(cache, 31, 32).parentName], [OTHER, "sh"]);
});

Deno.test("a cgroup that is not found is asked for a few times and then left alone", () => {
  const host = new FakeHost();
  let asked = 0;
  host.cgroupPath = () => (asked++, null);
  const cache = host.cache();
  for (let seconds = 1; seconds < 60; seconds++) {
    at(cache, 5, seconds, { cgroupId: 99 });
    cache.refresh(10, seconds * SECOND_NS);
  }
  assertEquals(asked, 3);
});

Deno.test("a cgroup that the source is still looking for is asked for until it is found, and keeps nobody waiting", () => {
  const host = new FakeHost();
  let asked = 0;
  host.cgroupPath = () => ++asked < 100 ? undefined : `/system.slice/docker-${OTHER}.scope`;
  const cache = host.cache();
  exec(cache, 5, 1, "/bin/sh", { cgroupId: 99 });
  for (let looks = 0; looks < 200; looks++) {
    at(cache, 5, 2, { cgroupId: 99 });
    // The second one at the same time is too soon.
    for (let i = 0; i < 2; i++) cache.refresh(10, 2 * SECOND_NS + looks * 20e6);
  }
  assertEquals(asked, 100);
  assertEquals(at(cache, 5, 5, { cgroupId: 99 }).containerId, OTHER);
  assertEquals(cache.stats().waiting, 0);
});

Deno.test("a cgroup that is found late still names its container", () => {
  const host = new FakeHost();
  const cache = host.cache();
  exec(cache, 5, 1, "/bin/sh", { cgroupId: 99 });
  assertEquals(at(cache, 5, 1, { cgroupId: 99 }).containerId, "");
  cache.refresh(10, 1 * SECOND_NS);
  host.cgroups.set(99n, `/system.slice/docker-${OTHER}.scope`);
  cache.refresh(10, 4 * SECOND_NS);
  assertEquals(at(cache, 5, 5, { cgroupId: 99 }).containerId, OTHER);
});

Deno.test("a child that forked and cannot be asked for its link shows its parent's executable", () => {
  const host = new FakeHost();
  host.add({ pid: 4, name: "nginx", exe: "/usr/sbin/nginx" });
  host.add({ pid: 5, ppid: 4, name: "nginx", exe: "" });
  host.add({ pid: 6, ppid: 4, name: "kworker", exe: "" });
  const cache = host.cache();
  for (const pid of [5, 6]) at(cache, pid, 50);
  cache.refresh(10, 51 * SECOND_NS);
  assertEquals([5, 6].map((pid) => at(cache, pid, 52).exe), ["/usr/sbin/nginx", ""]);
});

Deno.test("a user's name changes with the file", () => {
  const host = new FakeHost();
  const cache = host.cache();
  cache.fill(0);
  exec(cache, 9, 20, "/bin/ls", { uid: 1000 });
  assertEquals(at(cache, 9, 21, { uid: 1000 }).user, "alice");
  host.passwd = "bob:x:1000:1000::/:";
  host.passwdVersion = 2;
  cache.refresh(10, 22 * SECOND_NS);
  assertEquals([at(cache, 9, 23, { uid: 1000 }).user, at(cache, 9, 23, { uid: 4 }).user], ["bob", ""]);
});

Deno.test("refresh() takes no more looks than it may, and says how many", () => {
  const host = new FakeHost();
  const cache = host.cache({ waitingMax: 20 });
  for (let pid = 100; pid < 130; pid++) at(cache, pid, 1);
  assertEquals([cache.stats().refused, cache.stats().waiting], [10, 21]); // and one cgroup
  assertEquals(cache.refresh(5, 2 * SECOND_NS), 6);
  assertEquals(host.asked.length, 5);
  while (cache.refresh(5, 2 * SECOND_NS) > 0);
  assertEquals([host.asked.length, cache.stats().waiting], [20, 0]);
});

Deno.test("a million events of 100,000 processes stay within the bound, whatever they do", () => {
  const cache = new FakeHost().cache({ entriesMax: 1_000, waitingMax: 100 });
  for (let i = 0; i < 1_000_000; i++) {
    const pid = 1 + i * 7919 % 100_000;
    const seconds = i / 1000;
    if (i % 5 === 0) exec(cache, pid, seconds, "/bin/x");
    at(cache, pid, seconds);
    if (i % 7 === 0) cache.exit(pid, seconds * SECOND_NS);
  }
  const { entries, evictions, hits, misses, waiting } = cache.stats();
  assertEquals([entries, hits + misses], [1_000, 1_000_000]);
  assert(evictions > 100_000);
  assertLess(waiting, 202);
});

Deno.test("one pid that lives a thousand lives keeps a bounded memory of them", () => {
  const cache = new FakeHost().cache();
  for (let life = 0; life < 1_000; life++) {
    exec(cache, 9, 10 * life, `/bin/p${life}`);
    cache.exit(9, (10 * life + 5) * SECOND_NS);
  }
  assertEquals(at(cache, 9, 9_991).name, "p999");
  assertEquals(at(cache, 9, 9_961).name, "p996");
  assertEquals(at(cache, 9, 9_951).name, "thread");
});

Deno.test("what people run again and again is nearly always known", () => {
  const host = new FakeHost();
  for (let pid = 1; pid <= 500; pid++) host.add({ pid });
  const cache = host.cache();
  cache.fill(100 * SECOND_NS);
  for (let i = 0; i < 10_000; i++) {
    if (i % 10 === 0) exec(cache, 1_000 + i / 10, 200 + i / 1000, "/bin/ls");
    at(cache, i % 10 === 0 ? 1_000 + i / 10 : 1 + i % 500, 200 + i / 1000);
  }
  assertEquals(cache.stats().hitRatio, 1);
});
