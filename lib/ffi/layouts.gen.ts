// Generated from the BTF of build/bpf/*.bpf.o by tools/layouts.ts (`make layouts`). Do not edit.
import type { StructLayout } from "./layout.ts";

export const FLOW_RODATA = {
  size: 17,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    slots: { offset: 4, size: 4, kind: "uint" },
    slot_multiplier: { offset: 8, size: 4, kind: "uint" },
    slot_shift: { offset: 12, size: 4, kind: "uint" },
    per_cpu_values: { offset: 16, size: 1, kind: "bool" },
  },
} as const satisfies StructLayout;

export const FLOW_BSS = {
  size: 20,
  fields: {
    "clock_sample.monotonic_ns": { offset: 0, size: 8, kind: "uint" },
    "clock_sample.jiffies": { offset: 8, size: 8, kind: "uint" },
    active_side: { offset: 16, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const FLOW4_KEY = {
  size: 16,
  fields: {
    src: { offset: 0, size: 4, kind: "be" },
    dst: { offset: 4, size: 4, kind: "be" },
    sport: { offset: 8, size: 2, kind: "be" },
    dport: { offset: 10, size: 2, kind: "be" },
    proto: { offset: 12, size: 1, kind: "uint" },
    direction: { offset: 13, size: 1, kind: "uint" },
    iface_slot: { offset: 14, size: 2, kind: "uint" },
  },
} as const satisfies StructLayout;

export const FLOW6_KEY = {
  size: 40,
  fields: {
    src: { offset: 0, size: 16, kind: "bytes" },
    dst: { offset: 16, size: 16, kind: "bytes" },
    sport: { offset: 32, size: 2, kind: "be" },
    dport: { offset: 34, size: 2, kind: "be" },
    proto: { offset: 36, size: 1, kind: "uint" },
    direction: { offset: 37, size: 1, kind: "uint" },
    iface_slot: { offset: 38, size: 2, kind: "uint" },
  },
} as const satisfies StructLayout;

export const FLOW_VALUE = {
  size: 40,
  fields: {
    packets: { offset: 0, size: 8, kind: "uint" },
    bytes: { offset: 8, size: 8, kind: "uint" },
    first_seen_jiffies: { offset: 16, size: 8, kind: "uint" },
    last_seen_jiffies: { offset: 24, size: 8, kind: "uint" },
    tcp_flags_seen: { offset: 32, size: 8, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const PACKET_COUNTERS = {
  size: 128,
  fields: {
    seen_packets: { offset: 0, size: 8, kind: "uint" },
    seen_bytes: { offset: 8, size: 8, kind: "uint" },
    overflow_packets: { offset: 16, size: 8, kind: "uint" },
    overflow_bytes: { offset: 24, size: 8, kind: "uint" },
    other_packets: { offset: 32, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    other_bytes: { offset: 64, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    pad0: { offset: 96, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const CLOCK_SAMPLE = {
  size: 16,
  fields: {
    monotonic_ns: { offset: 0, size: 8, kind: "uint" },
    jiffies: { offset: 8, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const FLOW_DIRECTION = {
  FLOW_INGRESS: 0,
  FLOW_EGRESS: 1,
  FLOW_DIRECTIONS: 2,
} as const;

export const OTHER_CLASS = {
  OTHER_NON_IP: 0,
  OTHER_TRUNCATED: 1,
  OTHER_MALFORMED: 2,
  OTHER_FRAGMENT: 3,
  OTHER_CLASSES: 4,
} as const;
