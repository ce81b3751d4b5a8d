// Generated from the BTF of build/bpf/*.bpf.o by tools/layouts.ts (`make layouts`). Do not edit.
import type { StructLayout } from "./layout.ts";

export const FLOW_RODATA = {
  size: 34,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    slots: { offset: 4, size: 4, kind: "uint" },
    slot_multiplier: { offset: 8, size: 4, kind: "uint" },
    slot_shift: { offset: 12, size: 4, kind: "uint" },
    per_cpu_values: { offset: 16, size: 1, kind: "bool" },
    hash_seed: { offset: 24, size: 8, kind: "uint" },
    candidates_by_bytes: { offset: 32, size: 1, kind: "bool" },
    replays: { offset: 33, size: 1, kind: "bool" },
  },
} as const satisfies StructLayout;

export const FLOW_BSS = {
  size: 144,
  fields: {
    map_full: { offset: 0, size: 32, kind: "array", length: 8, element: { size: 4, kind: "uint" } },
    "replayed.ticks": { offset: 32, size: 8, kind: "uint" },
    "replayed.wire_bytes": { offset: 40, size: 4, kind: "uint" },
    "replayed.next": { offset: 44, size: 4, kind: "uint" },
    "clock_sample.monotonic_ns": { offset: 48, size: 8, kind: "uint" },
    "clock_sample.jiffies": { offset: 56, size: 8, kind: "uint" },
    "window.generation": { offset: 64, size: 4, kind: "uint" },
    "window.quiet_generation": { offset: 68, size: 4, kind: "uint" },
    "window.lock": { offset: 72, size: 4, kind: "uint" },
    "window.structures": { offset: 76, size: 4, kind: "uint" },
    "window.lengths": { offset: 80, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
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
    rest_packets: { offset: 96, size: 8, kind: "uint" },
    rest_bytes: { offset: 104, size: 8, kind: "uint" },
    pad0: { offset: 112, size: 16, kind: "array", length: 2, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const CLOCK_SAMPLE = {
  size: 16,
  fields: {
    monotonic_ns: { offset: 0, size: 8, kind: "uint" },
    jiffies: { offset: 8, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const CAPTURED_FRAME = {
  size: 2320,
  fields: {
    ticks: { offset: 0, size: 8, kind: "uint" },
    wire_bytes: { offset: 8, size: 4, kind: "uint" },
    kept_bytes: { offset: 12, size: 4, kind: "uint" },
    bytes: { offset: 16, size: 2304, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const REPLAY_SHAPE = {
  REPLAY_FRAMES: 256,
  REPLAY_BYTES_MAX: 2304,
} as const;

export const COUNT_MIN_CELL = {
  size: 16,
  fields: {
    packets: { offset: 0, size: 8, kind: "uint" },
    bytes: { offset: 8, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const CANDIDATE = {
  size: 96,
  fields: {
    hash: { offset: 0, size: 8, kind: "uint" },
    votes: { offset: 8, size: 8, kind: "uint" },
    packets: { offset: 16, size: 8, kind: "uint" },
    bytes: { offset: 24, size: 8, kind: "uint" },
    first_seen_jiffies: { offset: 32, size: 8, kind: "uint" },
    last_seen_jiffies: { offset: 40, size: 8, kind: "uint" },
    key: { offset: 48, size: 40, kind: "bytes" },
    family: { offset: 88, size: 1, kind: "uint" },
    tcp_flags: { offset: 89, size: 1, kind: "uint" },
    pad0: { offset: 90, size: 6, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const PREFIX_KEY = {
  size: 12,
  fields: {
    address: { offset: 0, size: 6, kind: "bytes" },
    family: { offset: 6, size: 1, kind: "uint" },
    direction: { offset: 7, size: 1, kind: "uint" },
    iface_slot: { offset: 8, size: 2, kind: "uint" },
    pad0: { offset: 10, size: 2, kind: "uint" },
  },
} as const satisfies StructLayout;

export const PREFIX_VALUE = {
  size: 16,
  fields: {
    packets: { offset: 0, size: 8, kind: "uint" },
    bytes: { offset: 8, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const COUNT_MIN_SHAPE = {
  COUNT_MIN_ROWS: 4,
  COUNT_MIN_COLUMNS: 65536,
} as const;

export const CANDIDATE_SHAPE = {
  CANDIDATES: 4096,
  CANDIDATE_WAYS: 2,
} as const;

export const PREFIX_BITS = {
  PREFIX4_BITS: 24,
  PREFIX6_BITS: 48,
} as const;

export const FULL_MAP = {
  FULL_FLOWS4: 0,
  FULL_FLOWS6: 1,
  FULL_PREFIXES: 2,
  FULL_MAPS: 4,
} as const;

export const DOUBLE_BUFFER = {
  size: 80,
  fields: {
    generation: { offset: 0, size: 4, kind: "uint" },
    quiet_generation: { offset: 4, size: 4, kind: "uint" },
    lock: { offset: 8, size: 4, kind: "uint" },
    structures: { offset: 12, size: 4, kind: "uint" },
    lengths: { offset: 16, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
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

export const EVENT = {
  size: 96,
  fields: {
    ts_ns: { offset: 0, size: 8, kind: "uint" },
    type: { offset: 8, size: 2, kind: "uint" },
    severity: { offset: 10, size: 1, kind: "uint" },
    cpu: { offset: 11, size: 1, kind: "uint" },
    pid: { offset: 12, size: 4, kind: "uint" },
    uid: { offset: 16, size: 4, kind: "uint" },
    data_len: { offset: 20, size: 4, kind: "uint" },
    cgroup_id: { offset: 24, size: 8, kind: "uint" },
    comm: { offset: 32, size: 16, kind: "chars" },
    first_ns: { offset: 48, size: 8, kind: "uint" },
    result: { offset: 56, size: 8, kind: "int" },
    payload_hash: { offset: 64, size: 8, kind: "uint" },
    weight: { offset: 72, size: 4, kind: "uint" },
    repeats: { offset: 76, size: 4, kind: "uint" },
    tid: { offset: 80, size: 4, kind: "uint" },
    rules_generation: { offset: 84, size: 4, kind: "uint" },
    cpu_full: { offset: 88, size: 2, kind: "uint" },
    flags: { offset: 90, size: 2, kind: "uint" },
    home_ring: { offset: 92, size: 1, kind: "uint" },
    rule: { offset: 93, size: 1, kind: "uint" },
    pad0: { offset: 94, size: 2, kind: "uint" },
  },
} as const satisfies StructLayout;

export const EXEC_PAYLOAD = {
  size: 16,
  fields: {
    ppid: { offset: 0, size: 4, kind: "uint" },
    argc: { offset: 4, size: 4, kind: "uint" },
    filename_len: { offset: 8, size: 2, kind: "uint" },
    args_len: { offset: 10, size: 2, kind: "uint" },
    pad0: { offset: 12, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const EXIT_PAYLOAD = {
  size: 8,
  fields: {
    status: { offset: 0, size: 4, kind: "uint" },
    pad0: { offset: 4, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const OPEN_PAYLOAD = {
  size: 16,
  fields: {
    open_flags: { offset: 0, size: 8, kind: "uint" },
    dirfd: { offset: 8, size: 4, kind: "int" },
    syscall: { offset: 12, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const CONNECT_PAYLOAD = {
  size: 24,
  fields: {
    address: { offset: 0, size: 16, kind: "bytes" },
    family: { offset: 16, size: 2, kind: "uint" },
    port: { offset: 18, size: 2, kind: "uint" },
    fd: { offset: 20, size: 4, kind: "int" },
  },
} as const satisfies StructLayout;

export const TCP_PAYLOAD = {
  size: 40,
  fields: {
    src: { offset: 0, size: 16, kind: "bytes" },
    dst: { offset: 16, size: 16, kind: "bytes" },
    family: { offset: 32, size: 2, kind: "uint" },
    sport: { offset: 34, size: 2, kind: "uint" },
    dport: { offset: 36, size: 2, kind: "uint" },
    old_state: { offset: 38, size: 1, kind: "uint" },
    new_state: { offset: 39, size: 1, kind: "uint" },
  },
} as const satisfies StructLayout;

export const VIOLATION_PAYLOAD = {
  size: 40,
  fields: {
    args: { offset: 0, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    syscall: { offset: 32, size: 4, kind: "uint" },
    kind: { offset: 36, size: 2, kind: "uint" },
    pad0: { offset: 38, size: 2, kind: "uint" },
  },
} as const satisfies StructLayout;

export const ROUTER_COUNTERS = {
  size: 320,
  fields: {
    attempts: { offset: 0, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    submitted: { offset: 32, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    dropped: { offset: 64, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    failures: { offset: 96, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    spilled: { offset: 128, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    dropped_by_type: { offset: 160, size: 64, kind: "array", length: 8, element: { size: 8, kind: "uint" } },
    seen: { offset: 224, size: 8, kind: "uint" },
    filtered: { offset: 232, size: 8, kind: "uint" },
    rate_limited: { offset: 240, size: 8, kind: "uint" },
    sampled_out: { offset: 248, size: 8, kind: "uint" },
    repeats_held: { offset: 256, size: 8, kind: "uint" },
    flushed: { offset: 264, size: 8, kind: "uint" },
    pad0: { offset: 272, size: 48, kind: "array", length: 6, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const HELD_KEY = {
  size: 8,
  fields: {
    pid: { offset: 0, size: 4, kind: "uint" },
    reason: { offset: 4, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const ISOLATE_KEY = {
  size: 16,
  fields: {
    id: { offset: 0, size: 8, kind: "uint" },
    kind: { offset: 8, size: 4, kind: "uint" },
    pad0: { offset: 12, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const ISOLATE_KIND = {
  ISOLATE_PID: 0,
  ISOLATE_CGROUP: 1,
} as const;

export const RULE_KEY = {
  size: 24,
  fields: {
    value: { offset: 0, size: 16, kind: "array", length: 2, element: { size: 8, kind: "uint" } },
    dimension: { offset: 16, size: 4, kind: "uint" },
    pad0: { offset: 20, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const RULE_PATH_KEY = {
  size: 136,
  fields: {
    prefix_bits: { offset: 0, size: 4, kind: "uint" },
    pad0: { offset: 4, size: 4, kind: "uint" },
    path: { offset: 8, size: 128, kind: "chars" },
  },
} as const satisfies StructLayout;

export const RULE_NET_KEY = {
  size: 20,
  fields: {
    prefix_bits: { offset: 0, size: 4, kind: "uint" },
    address: { offset: 4, size: 16, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const RULE_BITS = {
  size: 24,
  fields: {
    rules: { offset: 0, size: 8, kind: "uint" },
    filters: { offset: 8, size: 8, kind: "uint" },
    watches: { offset: 16, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const RULE_SET = {
  size: 416,
  fields: {
    rules_by_type: { offset: 0, size: 64, kind: "array", length: 8, element: { size: 8, kind: "uint" } },
    filters_by_type: { offset: 64, size: 64, kind: "array", length: 8, element: { size: 8, kind: "uint" } },
    rules_any: { offset: 128, size: 64, kind: "array", length: 8, element: { size: 8, kind: "uint" } },
    filters_any: { offset: 192, size: 64, kind: "array", length: 8, element: { size: 8, kind: "uint" } },
    keeping_filters: { offset: 256, size: 8, kind: "uint" },
    rate_interval_ns: { offset: 264, size: 8, kind: "uint" },
    debug_one_in: { offset: 272, size: 4, kind: "uint" },
    keep_only: { offset: 276, size: 1, kind: "uint" },
    severity_max: { offset: 277, size: 1, kind: "uint" },
    pad0: { offset: 278, size: 2, kind: "bytes" },
    asked_by_type: { offset: 280, size: 8, kind: "bytes" },
    actions: { offset: 288, size: 64, kind: "bytes" },
    watch_severities: { offset: 352, size: 64, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const EVENT_TYPE = {
  EVENT_PROCESS_EXEC: 0,
  EVENT_PROCESS_EXIT: 1,
  EVENT_FILE_OPEN: 2,
  EVENT_NETWORK_CONNECT: 3,
  EVENT_TCP_STATE: 4,
  EVENT_SECURITY_VIOLATION: 5,
  EVENT_RESOURCE_LIMIT: 6,
  EVENT_TYPES: 7,
} as const;

export const EVENT_LIMIT = {
  EVENT_TYPES_MAX: 8,
} as const;

export const SEVERITY = {
  SEVERITY_CRITICAL: 0,
  SEVERITY_ERROR: 1,
  SEVERITY_WARNING: 2,
  SEVERITY_INFO: 3,
  SEVERITY_DEBUG: 4,
  SEVERITIES: 5,
} as const;

export const RING_ID = {
  RING_CRITICAL: 0,
  RING_NORMAL: 1,
  RING_DEBUG: 2,
  SHARED_RINGS: 3,
  RING_ISOLATED: 3,
  RINGS: 4,
} as const;

export const EVENT_FLAG = {
  EVENT_SPILLED: 1,
  EVENT_SAMPLED: 2,
  EVENT_REPEATED: 4,
  EVENT_TRUNCATED: 8,
  EVENT_UNREADABLE: 16,
  EVENT_INCOMPLETE: 32,
} as const;

export const VIOLATION_KIND = {
  VIOLATION_DENIED: 0,
  VIOLATION_PTRACE: 1,
  VIOLATION_SETUID_ROOT: 2,
  VIOLATION_MODULE_LOAD: 3,
  VIOLATION_BPF: 4,
  VIOLATION_MOUNT: 5,
  LIMIT_PROCESS_FILES: 6,
  LIMIT_SYSTEM_FILES: 7,
  LIMIT_MEMORY: 8,
  LIMIT_PROCESSES: 9,
  LIMIT_OOM_VICTIM: 10,
  VIOLATION_KINDS: 11,
} as const;

export const ROUTER_PROGRAM = {
  PROGRAM_EXEC: 0,
  PROGRAM_EXIT: 1,
  PROGRAM_SYSCALL: 2,
  PROGRAM_TCP: 3,
  PROGRAM_OOM: 4,
  PROGRAM_FLUSH: 5,
  ROUTER_PROGRAMS: 6,
} as const;

export const HELD_REASON = {
  HELD_RATE_LIMITED: 0,
  HELD_DROPPED: 1,
} as const;

export const SYSCALL_RULE = {
  SYSCALL_OPENAT: 1,
  SYSCALL_OPENAT2: 2,
  SYSCALL_OPEN: 4,
  SYSCALL_CREAT: 8,
  SYSCALL_CONNECT: 16,
  SYSCALL_FORK: 32,
  SYSCALL_MAY_BE_DENIED: 64,
  SYSCALL_ALWAYS: 128,
  SYSCALL_TWO_IDS: 2048,
} as const;

export const RULE_DIMENSION = {
  RULE_UID: 0,
  RULE_COMM: 1,
  RULE_PORT: 2,
  RULE_RESULT: 3,
  RULE_PID: 4,
  RULE_CGROUP: 5,
  RULE_PATH: 6,
  RULE_NET: 7,
  RULE_DIMENSIONS: 8,
} as const;

export const RULE_STRUCTURE = {
  RULE_SETS: 0,
  RULE_VALUES: 1,
  RULE_PATHS: 2,
  RULE_NETS: 3,
} as const;

export const SIMULATE_COUNTERS = {
  size: 72,
  fields: {
    attempts: { offset: 0, size: 24, kind: "array", length: 3, element: { size: 8, kind: "uint" } },
    submitted: { offset: 24, size: 24, kind: "array", length: 3, element: { size: 8, kind: "uint" } },
    dropped: { offset: 48, size: 24, kind: "array", length: 3, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const SIMULATED = {
  SIMULATED_PID_FIRST: 4194305,
  SIMULATED_PROCESSES: 256,
  SIMULATED_LOW_PID_ONE_IN: 8,
  SIMULATED_BURST_MAX: 4096,
} as const;

export const PROCESS_IDENTITY = {
  size: 48,
  fields: {
    started_ns: { offset: 0, size: 8, kind: "uint" },
    cgroup_id: { offset: 8, size: 8, kind: "uint" },
    pid: { offset: 16, size: 4, kind: "uint" },
    uid: { offset: 20, size: 4, kind: "uint" },
    gid: { offset: 24, size: 4, kind: "uint" },
    pad0: { offset: 28, size: 4, kind: "uint" },
    comm: { offset: 32, size: 16, kind: "chars" },
  },
} as const satisfies StructLayout;

export const PROCESS_KEY = {
  size: 16,
  fields: {
    started_ns: { offset: 0, size: 8, kind: "uint" },
    pid: { offset: 8, size: 4, kind: "uint" },
    number: { offset: 12, size: 2, kind: "uint" },
    abi: { offset: 14, size: 1, kind: "uint" },
    pad0: { offset: 15, size: 1, kind: "uint" },
  },
} as const satisfies StructLayout;

export const PROCESS_VALUE = {
  size: 232,
  fields: {
    calls: { offset: 0, size: 8, kind: "uint" },
    errors: { offset: 8, size: 8, kind: "uint" },
    total_ns: { offset: 16, size: 8, kind: "uint" },
    min_ns: { offset: 24, size: 8, kind: "uint" },
    max_ns: { offset: 32, size: 8, kind: "uint" },
    moved: { offset: 40, size: 8, kind: "uint" },
    noted_ns: { offset: 48, size: 8, kind: "uint" },
    "identity.started_ns": { offset: 56, size: 8, kind: "uint" },
    "identity.cgroup_id": { offset: 64, size: 8, kind: "uint" },
    "identity.pid": { offset: 72, size: 4, kind: "uint" },
    "identity.uid": { offset: 76, size: 4, kind: "uint" },
    "identity.gid": { offset: 80, size: 4, kind: "uint" },
    "identity.pad0": { offset: 84, size: 4, kind: "uint" },
    "identity.comm": { offset: 88, size: 16, kind: "chars" },
    histogram: { offset: 104, size: 128, kind: "array", length: 32, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_COUNTERS = {
  size: 64,
  fields: {
    seen: { offset: 0, size: 8, kind: "uint" },
    seen_errors: { offset: 8, size: 8, kind: "uint" },
    seen_ns: { offset: 16, size: 8, kind: "uint" },
    overflow: { offset: 24, size: 8, kind: "uint" },
    overflow_errors: { offset: 32, size: 8, kind: "uint" },
    overflow_ns: { offset: 40, size: 8, kind: "uint" },
    unentered: { offset: 48, size: 8, kind: "uint" },
    passed_over: { offset: 56, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const SYSCALL_ABI = {
  ABI_NATIVE: 0,
  ABI_COMPAT: 1,
  ABI_X32: 2,
  SYSCALL_ABIS: 3,
} as const;

export const PROCESS_PROGRAM = {
  PROCESS_ENTER: 0,
  PROCESS_RETURN: 1,
  PROCESS_PROGRAMS: 2,
} as const;

export const OWNED_ADDRESS = {
  size: 16,
  fields: {
    bytes: { offset: 0, size: 16, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const SOCKET_KEY = {
  size: 44,
  fields: {
    local: { offset: 0, size: 16, kind: "bytes" },
    remote: { offset: 16, size: 16, kind: "bytes" },
    netns: { offset: 32, size: 4, kind: "uint" },
    local_port: { offset: 36, size: 2, kind: "be" },
    remote_port: { offset: 38, size: 2, kind: "be" },
    proto: { offset: 40, size: 1, kind: "uint" },
    pad0: { offset: 41, size: 3, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const SOCKET_OWNER = {
  size: 64,
  fields: {
    "identity.started_ns": { offset: 0, size: 8, kind: "uint" },
    "identity.cgroup_id": { offset: 8, size: 8, kind: "uint" },
    "identity.pid": { offset: 16, size: 4, kind: "uint" },
    "identity.uid": { offset: 20, size: 4, kind: "uint" },
    "identity.gid": { offset: 24, size: 4, kind: "uint" },
    "identity.pad0": { offset: 28, size: 4, kind: "uint" },
    "identity.comm": { offset: 32, size: 16, kind: "chars" },
    noted_ns: { offset: 48, size: 8, kind: "uint" },
    netns: { offset: 56, size: 4, kind: "uint" },
    pad0: { offset: 60, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const RETRANSMIT_PLACE = {
  RETRANSMIT_HOME: 0,
  RETRANSMIT_OTHER: 1,
  RETRANSMIT_PLACES: 2,
} as const;

export const MAP_ENTRY_REQUEST = {
  size: 72,
  fields: {
    delta: { offset: 0, size: 8, kind: "uint" },
    key: { offset: 8, size: 64, kind: "bytes" },
  },
} as const satisfies StructLayout;

export const PROCESS_BSS = {
  size: 84,
  fields: {
    self_tgid: { offset: 0, size: 4, kind: "uint" },
    "window.generation": { offset: 4, size: 4, kind: "uint" },
    "window.quiet_generation": { offset: 8, size: 4, kind: "uint" },
    "window.lock": { offset: 12, size: 4, kind: "uint" },
    "window.structures": { offset: 16, size: 4, kind: "uint" },
    "window.lengths": { offset: 20, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_RODATA = {
  size: 296,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    sampling: { offset: 4, size: 4, kind: "uint" },
    sampling_threshold: { offset: 8, size: 4, kind: "uint" },
    never_return: { offset: 12, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
    execs: { offset: 36, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_HASH_BSS = {
  size: 84,
  fields: {
    self_tgid: { offset: 0, size: 4, kind: "uint" },
    "window.generation": { offset: 4, size: 4, kind: "uint" },
    "window.quiet_generation": { offset: 8, size: 4, kind: "uint" },
    "window.lock": { offset: 12, size: 4, kind: "uint" },
    "window.structures": { offset: 16, size: 4, kind: "uint" },
    "window.lengths": { offset: 20, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_HASH_RODATA = {
  size: 320,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    sampling: { offset: 4, size: 4, kind: "uint" },
    sampling_threshold: { offset: 8, size: 4, kind: "uint" },
    never_return: { offset: 12, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
    execs: { offset: 36, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_RAW_BSS = {
  size: 84,
  fields: {
    self_tgid: { offset: 0, size: 4, kind: "uint" },
    "window.generation": { offset: 4, size: 4, kind: "uint" },
    "window.quiet_generation": { offset: 8, size: 4, kind: "uint" },
    "window.lock": { offset: 12, size: 4, kind: "uint" },
    "window.structures": { offset: 16, size: 4, kind: "uint" },
    "window.lengths": { offset: 20, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const PROCESS_RAW_RODATA = {
  size: 328,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    sampling: { offset: 4, size: 4, kind: "uint" },
    sampling_threshold: { offset: 8, size: 4, kind: "uint" },
    never_return: { offset: 12, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
    execs: { offset: 36, size: 24, kind: "array", length: 6, element: { size: 4, kind: "uint" } },
    machine_has_x32: { offset: 60, size: 1, kind: "bool" },
    compat_offset: { offset: 64, size: 4, kind: "uint" },
    compat_bit: { offset: 68, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const RETRANSMIT_RODATA = {
  size: 16,
  fields: {
    home_netns: { offset: 0, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const RETRANSMIT_BSS = {
  size: 144,
  fields: {
    "window.generation": { offset: 0, size: 4, kind: "uint" },
    "window.quiet_generation": { offset: 4, size: 4, kind: "uint" },
    "window.lock": { offset: 8, size: 4, kind: "uint" },
    "window.structures": { offset: 12, size: 4, kind: "uint" },
    "window.lengths": { offset: 16, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
    seen_segments: { offset: 80, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
    overflow_segments: { offset: 112, size: 32, kind: "array", length: 4, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const ROUTER_RODATA = {
  size: 2124,
  fields: {
    cpus: { offset: 0, size: 4, kind: "uint" },
    syscall_rules: { offset: 4, size: 2048, kind: "array", length: 512, element: { size: 4, kind: "uint" } },
    watch_limits: { offset: 2052, size: 1, kind: "bool" },
    watch_execs: { offset: 2053, size: 1, kind: "bool" },
    hold_repeats: { offset: 2054, size: 1, kind: "bool" },
    hash_seed: { offset: 2056, size: 8, kind: "uint" },
    isolate_pids: { offset: 2064, size: 1, kind: "bool" },
    isolate_cgroups: { offset: 2065, size: 1, kind: "bool" },
    only_rings: { offset: 2068, size: 4, kind: "uint" },
    filter_pid: { offset: 2072, size: 1, kind: "bool" },
    filter_uid: { offset: 2073, size: 1, kind: "bool" },
    filter_comm: { offset: 2074, size: 1, kind: "bool" },
    only_pid: { offset: 2076, size: 4, kind: "uint" },
    only_uid: { offset: 2080, size: 4, kind: "uint" },
    only_comm: { offset: 2088, size: 16, kind: "array", length: 2, element: { size: 8, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const ROUTER_BSS = {
  size: 84,
  fields: {
    "rules.generation": { offset: 0, size: 4, kind: "uint" },
    "rules.quiet_generation": { offset: 4, size: 4, kind: "uint" },
    "rules.lock": { offset: 8, size: 4, kind: "uint" },
    "rules.structures": { offset: 12, size: 4, kind: "uint" },
    "rules.lengths": { offset: 16, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
    self_tgid: { offset: 80, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const ROUTER_RAW_RODATA = {
  size: 2148,
  fields: {
    arm64: { offset: 0, size: 1, kind: "bool" },
    thread_status_at: { offset: 4, size: 4, kind: "uint" },
    cpus: { offset: 8, size: 4, kind: "uint" },
    syscall_rules: { offset: 12, size: 2048, kind: "array", length: 512, element: { size: 4, kind: "uint" } },
    watch_limits: { offset: 2060, size: 1, kind: "bool" },
    watch_execs: { offset: 2061, size: 1, kind: "bool" },
    hold_repeats: { offset: 2062, size: 1, kind: "bool" },
    hash_seed: { offset: 2064, size: 8, kind: "uint" },
    isolate_pids: { offset: 2072, size: 1, kind: "bool" },
    isolate_cgroups: { offset: 2073, size: 1, kind: "bool" },
    only_rings: { offset: 2076, size: 4, kind: "uint" },
    filter_pid: { offset: 2080, size: 1, kind: "bool" },
    filter_uid: { offset: 2081, size: 1, kind: "bool" },
    filter_comm: { offset: 2082, size: 1, kind: "bool" },
    only_pid: { offset: 2084, size: 4, kind: "uint" },
    only_uid: { offset: 2088, size: 4, kind: "uint" },
    only_comm: { offset: 2096, size: 16, kind: "array", length: 2, element: { size: 8, kind: "uint" } },
    exec_numbers: { offset: 2112, size: 8, kind: "array", length: 2, element: { size: 4, kind: "uint" } },
    compat_exec_numbers: { offset: 2120, size: 8, kind: "array", length: 2, element: { size: 4, kind: "uint" } },
  },
} as const satisfies StructLayout;

export const ROUTER_RAW_BSS = {
  size: 84,
  fields: {
    "rules.generation": { offset: 0, size: 4, kind: "uint" },
    "rules.quiet_generation": { offset: 4, size: 4, kind: "uint" },
    "rules.lock": { offset: 8, size: 4, kind: "uint" },
    "rules.structures": { offset: 12, size: 4, kind: "uint" },
    "rules.lengths": { offset: 16, size: 64, kind: "array", length: 16, element: { size: 4, kind: "uint" } },
    self_tgid: { offset: 80, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

export const SIMULATE_BSS = {
  size: 168,
  fields: {
    "record.event.ts_ns": { offset: 0, size: 8, kind: "uint" },
    "record.event.type": { offset: 8, size: 2, kind: "uint" },
    "record.event.severity": { offset: 10, size: 1, kind: "uint" },
    "record.event.cpu": { offset: 11, size: 1, kind: "uint" },
    "record.event.pid": { offset: 12, size: 4, kind: "uint" },
    "record.event.uid": { offset: 16, size: 4, kind: "uint" },
    "record.event.data_len": { offset: 20, size: 4, kind: "uint" },
    "record.event.cgroup_id": { offset: 24, size: 8, kind: "uint" },
    "record.event.comm": { offset: 32, size: 16, kind: "chars" },
    "record.event.first_ns": { offset: 48, size: 8, kind: "uint" },
    "record.event.result": { offset: 56, size: 8, kind: "int" },
    "record.event.payload_hash": { offset: 64, size: 8, kind: "uint" },
    "record.event.weight": { offset: 72, size: 4, kind: "uint" },
    "record.event.repeats": { offset: 76, size: 4, kind: "uint" },
    "record.event.tid": { offset: 80, size: 4, kind: "uint" },
    "record.event.rules_generation": { offset: 84, size: 4, kind: "uint" },
    "record.event.cpu_full": { offset: 88, size: 2, kind: "uint" },
    "record.event.flags": { offset: 90, size: 2, kind: "uint" },
    "record.event.home_ring": { offset: 92, size: 1, kind: "uint" },
    "record.event.rule": { offset: 93, size: 1, kind: "uint" },
    "record.event.pad0": { offset: 94, size: 2, kind: "uint" },
    "record.payload": { offset: 96, size: 64, kind: "bytes" },
    number: { offset: 160, size: 8, kind: "uint" },
  },
} as const satisfies StructLayout;

export const SOCKET_OWNER_RODATA = {
  size: 1,
  fields: {
    by_address: { offset: 0, size: 1, kind: "bool" },
  },
} as const satisfies StructLayout;
