import { assertEquals, assertInstanceOf } from "../../tests/assert.ts";
import { EINVAL, ENOSYS, EPERM, PrivilegeError, SystemError, UnsupportedError } from "../runtime/errors.ts";
import { type LoadFailure, loadRefused, mapRefused, type ProcessLimits, whyNotPermitted } from "./load_failure.ts";

const ALL = "CapEff:\t000001ffffffffff\n";
const ROOT: ProcessLimits = {
  status: ALL,
  limits: "Max locked memory         unlimited            unlimited            bytes     \n",
  uidMap: "         0          0 4294967295\n",
};
const NOBODY: ProcessLimits = { ...ROOT, status: "CapEff:\t0000000000000000\n" };
const LOCKED: ProcessLimits = {
  ...ROOT,
  limits: "Max locked memory         65536                65536                bytes\n",
};
const CONTAINER: ProcessLimits = { ...ROOT, uidMap: "         0     100000      65536\n" };

function refused(failure: Partial<LoadFailure>, limits = ROOT): Error {
  return loadRefused({ object: "router", errno: EINVAL, messages: "", verifierLog: "", ...failure }, () => limits);
}

Deno.test("loadRefused() names the program that the verifier refuses, and keeps its log for --debug", () => {
  const error = refused({
    messages: "libbpf: prog 'syscall_exit': BPF program load failed: Invalid argument\n" +
      "libbpf: prog 'syscall_exit': failed to load: -22",
    verifierLog: "for (__u32 id = 0; ...\ninfinite loop detected at insn 186\n",
  });
  assertInstanceOf(error, UnsupportedError);
  const what = `this kernel's verifier refuses program "syscall_exit"`;
  assertEquals(error.message, `Cannot load BPF object "router": ${what}`);
  assertInstanceOf(error.cause, SystemError);
  assertEquals(error.cause.log.includes("infinite loop detected at insn 186"), true);
});

Deno.test("loadRefused() names what a program is attached to where the kernel lacks it", () => {
  const messages = "libbpf: prog 'socket_send': failed to find kernel BTF type ID of 'sock_send_length': -3\n" +
    "libbpf: prog 'socket_send': failed to load: -3";
  assertEquals(
    refused({ errno: 3, messages }).message,
    `Cannot load BPF object "router": program "socket_send" needs "sock_send_length", which this kernel does not have`,
  );
});

Deno.test("loadRefused() names the map that cannot be made", () => {
  const messages = "libbpf: Error in bpf_create_map_xattr(calls):Invalid argument(-22). Retrying without BTF.\n" +
    "libbpf: map 'calls': failed to create: Invalid argument(-22)";
  assertEquals(
    refused({ messages }).message,
    `Cannot load BPF object "router": this kernel does not make map "calls" (EINVAL)`,
  );
});

Deno.test("loadRefused() says that the kernel has no BTF", () => {
  const messages = "libbpf: kernel BTF is missing at '/sys/kernel/btf/vmlinux', was CONFIG_DEBUG_INFO_BTF enabled?";
  const what = "this kernel has no type information (BTF, CONFIG_DEBUG_INFO_BTF)";
  assertEquals(refused({ errno: 2, messages }).message, `Cannot load BPF object "router": ${what}`);
});

Deno.test("loadRefused() tells missing capabilities from everything else that is not permitted", () => {
  const probing = "libbpf: Error in bpf_object__probe_loading():Operation not permitted(1).";
  const unprivileged = refused({ errno: EPERM, messages: probing }, NOBODY);
  assertInstanceOf(unprivileged, PrivilegeError);
  assertEquals(
    unprivileged.message,
    'Cannot load BPF object "router": EPERM (operation not permitted); ' +
      "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON missing; run it with sudo",
  );
  const locked = refused({ errno: EPERM, messages: probing }, LOCKED);
  assertInstanceOf(locked, UnsupportedError);
  assertEquals(
    locked.message,
    'Cannot load BPF object "router": EPERM (operation not permitted); before Linux 5.11 maps count as locked memory, ' +
      'of which 64 KiB are allowed: raise it with "ulimit -l unlimited" or LimitMEMLOCK=infinity; else a seccomp ' +
      "filter, lockdown or another security policy forbids it",
  );
  assertInstanceOf(refused({ errno: EPERM, messages: probing }, CONTAINER), PrivilegeError);
});

Deno.test("loadRefused() says that the kernel has no bpf system call", () => {
  const error = refused({ errno: ENOSYS }, NOBODY);
  assertInstanceOf(error, UnsupportedError);
  assertEquals(error.message.includes("CONFIG_BPF_SYSCALL"), true);
});

Deno.test("mapRefused() explains EPERM, and leaves every other number as it is", () => {
  assertInstanceOf(mapRefused('create map "flows"', EPERM, () => NOBODY), PrivilegeError);
  assertInstanceOf(mapRefused('create map "flows"', EPERM, () => LOCKED), UnsupportedError);
  const noMemory = mapRefused('create map "flows"', 12, () => ROOT);
  assertInstanceOf(noMemory, SystemError);
  assertEquals(noMemory.message, 'Cannot create map "flows": ENOMEM (out of memory)');
});

Deno.test("whyNotPermitted() names a user namespace", () => {
  const { privilege, reason } = whyNotPermitted(CONTAINER);
  assertEquals(privilege, true);
  assertEquals(reason.startsWith("the capabilities are held in a user namespace only"), true);
});
