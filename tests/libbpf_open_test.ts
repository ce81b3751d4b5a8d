/** Opening libbpf, and what it says when a load goes wrong. */
import { assert, assertEquals, assertMatch, assertThrows } from "./assert.ts";
import { SystemError, UnsupportedError } from "../lib/runtime/errors.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { readKernelFile } from "../lib/ffi/libc.ts";
import { ASSETS_DIR, openSystemLibbpf, openTestObject } from "./support/bpf.ts";

const EMBEDDED_DIR = `${ASSETS_DIR}/app/lib`;

Deno.test("openLibbpf() opens the system's and knows its version", () => {
  using libbpf = openSystemLibbpf();
  assertEquals(libbpf.source, "system");
  assertMatch(libbpf.version, /^\d+\.\d+/);
});

Deno.test("openLibbpf() opens the one at a path, and says which path it could not open", () => {
  using libbpf = openLibbpf({ path: "libbpf.so.1", embeddedDir: EMBEDDED_DIR });
  assertEquals(libbpf.source, "path");
  const open = () => openLibbpf({ path: "/nonexistent/libbpf.so.1", embeddedDir: EMBEDDED_DIR });
  assertThrows(open, UnsupportedError, "/nonexistent/libbpf.so.1");
});

Deno.test("libbpf can be opened again once it was disposed of, and disposed of twice", () => {
  for (let i = 0; i < 3; i++) {
    const libbpf = openSystemLibbpf();
    libbpf[Symbol.dispose]();
    libbpf[Symbol.dispose]();
  }
});

Deno.test("libbpf stays in memory when it is disposed of, for threads of workers that were terminated in a call", () => {
  openSystemLibbpf()[Symbol.dispose]();
  assertMatch(readKernelFile("/proc/self/maps"), / r-xp .*libbpf/);
});

Deno.test("BpfObject.open() refuses what is no ELF, and keeps libbpf's own words for --debug", () => {
  using libbpf = openSystemLibbpf();
  const error = assertThrows(() => BpfObject.open(libbpf, "garbage", new Uint8Array(64)), SystemError, "garbage");
  assert(error.log.length > 0);
});

Deno.test("BpfObject loads, finds its programs and maps by name, and names one that is not there", () => {
  using libbpf = openSystemLibbpf();
  using object = openTestObject(libbpf, "ring");
  assertEquals(object.programNames(), ["produce"]);
  object.load();
  assert(object.programFd("produce") > 0);
  assertEquals(object.map("ring").spec.entriesMax, 1 << 18);
  assertThrows(() => object.map("nothing"), SystemError, "nothing");
  assertThrows(() => object.programFd("nothing"), SystemError, "nothing");
});
