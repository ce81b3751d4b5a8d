/** Settings of the machine on which ebpfmon's speed, or its choice between several ways, depends. */
import { hasKernelBtf, KERNEL_BTF } from "../ffi/kernel_btf.ts";
import { fileExists, readKernelFile } from "../ffi/libc.ts";
import type { Fact } from "./feature.ts";

function readText(path: string): string | null {
  try {
    return readKernelFile(path).trim();
  } catch {
    return null;
  }
}

function jit(): Fact {
  const value = readText("/proc/sys/net/core/bpf_jit_enable");
  const isOff = value === "0";
  return {
    name: "BPF JIT",
    // Only root may read this file, and a container may hide it.
    value: value === null ? "not known: /proc/sys/net/core/bpf_jit_enable cannot be read" : isOff ? "off" : "on",
    advice: isOff ? "sysctl net.core.bpf_jit_enable=1 makes programs run several times faster" : "",
  };
}

function btf(): Fact {
  const there = hasKernelBtf();
  return {
    name: "kernel BTF",
    value: there ? "there" : `no ${KERNEL_BTF}`,
    advice: there ? "" : "a kernel with CONFIG_DEBUG_INFO_BTF tells more of each event",
  };
}

function kprobes(): Fact {
  const there = fileExists("/sys/bus/event_source/devices/kprobe/type");
  return { name: "kprobes", value: there ? "there" : "this kernel was built without", advice: "" };
}

function lockdown(): Fact[] {
  const mode = /\[(\w+)\]/.exec(readText("/sys/kernel/security/lockdown") ?? "")?.[1];
  return mode === undefined ? [] : [{ name: "lockdown", value: mode, advice: "" }];
}

/** Reads the settings from /proc and /sys; tries nothing. */
export function kernelFacts(): Fact[] {
  return [jit(), btf(), kprobes(), ...lockdown()];
}
