import { assertEquals } from "../../tests/assert.ts";
import { CgroupWalk } from "./cgroup_walk.ts";

const ROOT = 1n;
const SLICE_MS = 5;

/** A tree whose every folder takes a millisecond to list, but for those that have gone. */
class FakeTree {
  nowMs = 0;
  listed = 0;
  /** By path. */
  readonly folders = new Map<string, bigint>();
  readonly gone = new Set<string>();

  /** So many folders, each below one of those before it. */
  static of(folders: number): FakeTree {
    const tree = new FakeTree();
    const paths = [""];
    for (let i = 0; i < folders; i++) {
      const path = `${paths[Math.floor(i / 10)]}/${i}`;
      paths.push(path);
      tree.folders.set(path, BigInt(100 + i));
    }
    return tree;
  }

  *list(path: string) {
    this.listed++;
    this.nowMs++;
    if (this.gone.has(path)) return;
    yield { name: "cgroup.procs", inode: 7n, isFolder: false };
    for (const [folder, inode] of this.folders) {
      const name = folder.slice(path.length + 1);
      if (folder.startsWith(`${path}/`) && !name.includes("/")) yield { name, inode, isFolder: true };
    }
  }

  walk(): CgroupWalk {
    const list = (path: string) => this.list(path);
    return new CgroupWalk({ rootId: ROOT, list, nowNs: () => this.nowMs * 1e6, sliceMs: SLICE_MS });
  }
}

Deno.test("CgroupWalk.pathOf() knows the root without walking", () => {
  const tree = FakeTree.of(3);
  assertEquals(tree.walk().pathOf(ROOT), "/");
  assertEquals(tree.listed, 0);
});

Deno.test("CgroupWalk.pathOf() finds every folder, and takes a slice of a fifth of the time for it", () => {
  const tree = FakeTree.of(1_000);
  const walk = tree.walk();
  const found = new Map<bigint, string>();
  while (found.size < tree.folders.size) {
    const beforeMs = tree.nowMs;
    for (const [path, id] of tree.folders) {
      const answer = walk.pathOf(id);
      if (answer === undefined) continue;
      assertEquals(answer, path);
      found.set(id, path);
    }
    // All of them were asked for at about the same time, which is one slice at most.
    assertEquals(tree.nowMs - beforeMs <= SLICE_MS, true);
    tree.nowMs++;
  }
  // The root, too. Between two slices is four times the time of one.
  assertEquals(tree.listed <= 1_001, true);
  assertEquals(tree.nowMs >= (tree.listed - SLICE_MS) * 5, true);
});

Deno.test("CgroupWalk.pathOf() says that a cgroup is not there when it has looked everywhere, and looks again later", () => {
  const tree = FakeTree.of(20);
  const walk = tree.walk();
  const answers = new Set<unknown>();
  while (tree.listed < 21) {
    answers.add(walk.pathOf(999n));
    tree.nowMs++;
  }
  assertEquals(answers, new Set([undefined, null]));
  tree.folders.set("/late", 999n);
  assertEquals([walk.pathOf(999n), tree.listed], [null, 21]);
  tree.nowMs += 1_000;
  const before = tree.listed;
  while (walk.pathOf(999n) === undefined) tree.nowMs++;
  assertEquals(walk.pathOf(999n), "/late");
  assertEquals(tree.listed > before, true);
});

Deno.test("CgroupWalk.pathOf() keeps what it knows while it walks again, and forgets what has gone after that", () => {
  const tree = FakeTree.of(50);
  const walk = tree.walk();
  while (walk.pathOf(999n) === undefined) tree.nowMs++;
  tree.nowMs += 1_000;
  assertEquals(walk.pathOf(998n), undefined);
  assertEquals(walk.pathOf(149n), [...tree.folders.keys()][49]);
  for (const path of [...tree.folders.keys()].slice(40)) tree.folders.delete(path);
  while (walk.pathOf(998n) === undefined) tree.nowMs++;
  assertEquals([walk.pathOf(100n), walk.pathOf(149n)], ["/0", null]);
});

Deno.test("CgroupWalk.pathOf() leaves out what goes away while it walks", () => {
  const tree = FakeTree.of(30);
  tree.gone.add("/0");
  const walk = tree.walk();
  while (walk.pathOf(999n) === undefined) tree.nowMs++;
  assertEquals([walk.pathOf(100n), walk.pathOf(110n)], ["/0", null]);
});
