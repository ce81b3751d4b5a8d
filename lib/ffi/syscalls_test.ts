import { assertEquals } from "../../tests/assert.ts";
import { SYSCALL_RULE } from "./layouts.gen.ts";
import { syscallName, syscallNumber, syscallRules } from "./syscalls.ts";
import { EVENT_TYPES } from "../router/protocol.ts";

Deno.test("syscallName() knows the numbers of both machines, across their gaps", () => {
  assertEquals([0, 2, 59, 257, 334, 424, 435, 437, 452].map((number) => syscallName("x86_64", number)), [
    "read",
    "open",
    "execve",
    "openat",
    "rseq",
    "pidfd_send_signal",
    "clone3",
    "openat2",
    "fchmodat2",
  ]);
  assertEquals([56, 203, 220, 221, 280, 424, 437].map((number) => syscallName("aarch64", number)), [
    "openat",
    "connect",
    "clone",
    "execve",
    "bpf",
    "pidfd_send_signal",
    "openat2",
  ]);
  assertEquals(syscallName("x86_64", 400), "syscall 400");
});

Deno.test("syscallRules() looks at no call without a source, and at each for its own sources", () => {
  const watched = (sources: readonly (typeof EVENT_TYPES)[number][]) =>
    syscallRules("x86_64", sources).flatMap((rule, number) => (rule & 0xff) !== 0 ? [number] : []);
  assertEquals(watched(["process_exec"]), []);
  assertEquals(watched(["file_open"]), [2, 85, 257, 437]);
  assertEquals(watched(["network_connect"]), [42]);
  assertEquals(watched(["resource_limit"]), [56, 57, 58, 435]);
  const all = syscallRules("x86_64", EVENT_TYPES);
  assertEquals(all[257], SYSCALL_RULE.SYSCALL_OPENAT | SYSCALL_RULE.SYSCALL_MAY_BE_DENIED | 2 << 8);
  assertEquals(all[165], SYSCALL_RULE.SYSCALL_ALWAYS | SYSCALL_RULE.SYSCALL_MAY_BE_DENIED | 2 << 8 | 5 << 12);
});

Deno.test("syscallNumber() is the inverse of syscallName(), in each table", () => {
  for (const table of ["x86_64", "aarch64", "i386"] as const) {
    for (const name of ["read", "exit_group", "execveat", "openat2", "futex_waitv", "mseal", "file_setattr"]) {
      assertEquals(syscallName(table, syscallNumber(table, name)!), name);
    }
  }
  assertEquals(syscallNumber("aarch64", "open"), undefined);
  assertEquals(syscallNumber("x86_64", "exit_group"), 231);
  assertEquals(["exit", "exit_group", "execveat", "socket", "rseq"].map((name) => syscallNumber("i386", name)), [
    1,
    252,
    358,
    359,
    386,
  ]);
});
