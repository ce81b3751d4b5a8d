import { assertEquals, assertGreater } from "../../tests/assert.ts";
import { macrosFor } from "../../tests/support/abi.ts";
import { syscallName, syscallNumber, type SyscallTable } from "./syscalls.ts";

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
