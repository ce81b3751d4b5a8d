import { assert, assertEquals, assertGreater } from "../../tests/assert.ts";
import { MACHINES, macrosFor } from "../../tests/support/abi.ts";
import { SYSCALL_RULE } from "./layouts.gen.ts";
import { syscallName, syscallNumber, syscallRules, type SyscallTable } from "./syscalls.ts";
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

/** The header with a machine's numbers. arm64's own only says which of the common ones it has. */
const NUMBERS: Record<SyscallTable, string> = {
  x86_64: "#include <asm/unistd_64.h>",
  i386: "#include <asm/unistd_32.h>",
  aarch64: `
    #define __ARCH_WANT_RENAMEAT
    #define __ARCH_WANT_NEW_STAT
    #define __ARCH_WANT_SET_GET_RLIMIT
    #define __ARCH_WANT_TIME32_SYSCALLS
    #define __ARCH_WANT_SYS_CLONE3
    #define __ARCH_WANT_MEMFD_SECRET
    #include <asm-generic/unistd.h>
  `,
};

Deno.test("syscallName() agrees with the kernel's headers about every call of each machine", async () => {
  for (const table of ["x86_64", "i386", "aarch64"] as const) {
    // Only x86_64 has the headers of its two tables.
    if (table !== "aarch64" && Deno.build.arch !== "x86_64") continue;
    const macros = await macrosFor(table === "i386" ? "x86_64" : table, NUMBERS[table]);
    const wrong: string[] = [];
    let known = 0;
    for (const [macro, value] of macros) {
      const name = /^__NR_(\w+)$/.exec(macro)?.[1];
      if (name === undefined || ["syscalls", "arch_specific_syscall"].includes(name)) continue;
      // One macro may stand for another: __NR_mmap is __NR3264_mmap.
      const number = Number(macros.get(value) ?? value);
      known++;
      if (syscallName(table, number) !== name) wrong.push(`${name} ${number}: ${syscallName(table, number)}`);
    }
    assertEquals(wrong, [], table);
    assertGreater(known, 300, table);
  }
});

Deno.test("syscallRules() looks on each machine at the calls that have the watched names", () => {
  const watched = [
    ...["openat", "openat2", "connect", "clone", "clone3", "ptrace", "setuid", "setresuid", "mount", "bpf"],
    ...["init_module", "finit_module", "bind", "execve", "unlinkat", "kill", "setns"],
  ];
  for (const machine of MACHINES) {
    const rules = syscallRules(machine, EVENT_TYPES);
    for (const name of watched) assert((rules[syscallNumber(machine, name)!] & 0xff) !== 0, `${machine} ${name}`);
    for (const name of ["read", "mmap", "futex"]) assertEquals(rules[syscallNumber(machine, name)!], 0, name);
  }
  const of = (name: string) =>
    MACHINES.map((machine) => syscallRules(machine, EVENT_TYPES)[syscallNumber(machine, name)!]);
  for (const name of watched) assertEquals(of(name)[0], of(name)[1], name);
});
