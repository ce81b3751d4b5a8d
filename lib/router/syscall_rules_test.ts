import { assert, assertEquals } from "../../tests/assert.ts";
import { MACHINES } from "../../tests/support/abi.ts";
import { EVENT_TYPES } from "../events/event.ts";
import { SYSCALL_RULE } from "../wire/layouts.gen.ts";
import { syscallNumber } from "../wire/syscalls.ts";
import { syscallRules } from "./syscall_rules.ts";

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
