import { assert, assertEquals, assertLessOrEqual, assertStrictEquals, assertThrows } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { createProcess, decodeProcess, encodeProcess, PROCESS_BYTES_MAX, type ProcessFields } from "./process_codec.ts";
import type { ProcessInfo } from "./process_info.ts";

const SHELL: ProcessFields = {
  pid: 42,
  startNs: 123_456_789_010_000_000,
  name: "sh",
  ppid: 1,
  parentName: "init",
  exe: "/bin/żółw 🐢",
  uid: 4_294_967_294,
  user: "www-data",
  containerId: "c7".repeat(32),
  podUid: "9a1d2f0c-4b6e-4c1a-8f7d-3e5b7a9c1d2e",
};

function fieldsOf(info: ProcessInfo): ProcessFields {
  const { pid, startNs, name, ppid, parentName, exe, uid, user, containerId, podUid } = info;
  return { pid, startNs, name, ppid, parentName, exe, uid, user, containerId, podUid };
}

function randomText(random: Random, lengthMax: number): string {
  const characters = ["a", "/", "\0", "\n", "\x1b[31m", '"', "ż", "漢", "🐢", "\ufffd", " "];
  return Array.from({ length: random.below(lengthMax + 1) }, () => random.pick(characters)).join("");
}

function randomFields(random: Random): ProcessFields {
  return {
    pid: random.below(2 ** 32),
    startNs: random.below(2 ** 32) * random.below(2 ** 21),
    name: randomText(random, 5),
    ppid: random.below(2 ** 32),
    parentName: randomText(random, 5),
    exe: randomText(random, 100),
    uid: random.below(2 ** 32),
    user: randomText(random, 8),
    containerId: randomText(random, 20),
    podUid: randomText(random, 10),
  };
}

Deno.test("encodeProcess() writes what its description says", () => {
  const encoded = encodeProcess({ ...SHELL, exe: "/bin/sh", containerId: "", podUid: "", user: "", parentName: "" });
  const data = new DataView(encoded.buffer);
  assertEquals([encoded.length, data.getUint32(4, true)], [56, 56]);
  assertEquals(data.getFloat64(8, true), SHELL.startNs);
  assertEquals([16, 20, 24].map((at) => data.getUint32(at, true)), [42, 1, 4_294_967_294]);
  assertEquals([28, 30, 32, 34, 36, 38].map((at) => data.getUint16(at, true)), [2, 0, 7, 0, 0, 0]);
  assertEquals(new TextDecoder().decode(encoded.subarray(40)), "sh/bin/sh\0\0\0\0\0\0\0");
});

Deno.test("decodeProcess() gives back what encodeProcess() took, anywhere in memory", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const fields = randomFields(random);
    const { encoded } = createProcess(fields);
    const offset = random.below(40);
    const memory = new Uint8Array(offset + encoded.length + random.below(20)).fill(0xaa);
    memory.set(encoded, offset);
    const decoded = decodeProcess(memory, offset, memory.length);
    assertEquals(fieldsOf(decoded), fields, `seed ${seed}, round ${round}`);
    assertEquals(decoded.encoded, encoded);
  }
});

Deno.test("decodeProcess() gives the same object for the same bytes, and another one for any other", () => {
  const { encoded } = createProcess(SHELL);
  const memory = new Uint8Array(8 + 2 * encoded.length);
  memory.set(encoded, 8);
  memory.set(encoded, 8 + encoded.length);
  const first = decodeProcess(memory, 8, 8 + encoded.length);
  assertStrictEquals(decodeProcess(memory, 8 + encoded.length, memory.length), first);
  // A forged one: another uid below the same hash.
  memory[8 + 24]--;
  assertEquals(decodeProcess(memory, 8, 8 + encoded.length).uid, SHELL.uid - 1);
  assertEquals(first.uid, SHELL.uid);
});

Deno.test("decodeProcess() remembers nothing of memory that is filled anew", () => {
  const memory = new Uint8Array(PROCESS_BYTES_MAX);
  for (const pid of [1, 2, 3, 1]) {
    memory.set(encodeProcess({ ...SHELL, pid }));
    assertEquals(decodeProcess(memory, 0, memory.length).pid, pid);
  }
});

Deno.test("createProcess() keeps hostile text as it is, but cuts it between two characters", () => {
  const hostile = "\x1b]0;\x07\n\0";
  const info = createProcess({ ...SHELL, name: hostile, exe: "🐢".repeat(10_000), user: `a${"漢".repeat(100)}` });
  assertEquals(info.name, hostile);
  assertEquals(info.exe, "🐢".repeat(128));
  assertEquals(info.user, `a${"漢".repeat(21)}`);
  assertLessOrEqual(info.encoded.length, PROCESS_BYTES_MAX);
  assertEquals(fieldsOf(decodeProcess(info.encoded, 0, info.encoded.length)), fieldsOf(info));
  const longest = Object.fromEntries(
    ["name", "parentName", "exe", "user", "containerId", "podUid"].map((text) => [text, "x".repeat(100_000)]),
  );
  assertEquals(createProcess({ ...SHELL, ...longest }).encoded.length, PROCESS_BYTES_MAX);
});

Deno.test("decodeProcess() throws nothing but RangeError, whatever the bytes", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  let refused = 0;
  for (let round = 0; round < 3_000; round++) {
    const bytes = encodeProcess(randomFields(random));
    for (let flips = random.below(6); flips >= 0; flips--) bytes[random.below(bytes.length)] = random.below(256);
    const end = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length;
    try {
      decodeProcess(bytes, 0, end);
    } catch (error) {
      assert(error instanceof RangeError, `seed ${seed}, round ${round}: ${error}`);
      refused++;
    }
  }
  assert(refused > 0);
  for (const [start, end] of [[0, 0], [-8, 56], [0, 39], [0, 10_000], [50, 10]]) {
    assertThrows(() => decodeProcess(encodeProcess(SHELL), start, end), RangeError);
  }
});
