import { assert, assertEquals } from "../../tests/assert.ts";
import { EventDecoder } from "./event_decoder.ts";
import { EVENT_TYPES, type EventBase, RINGS, type RouterEvent } from "./event.ts";

const decoder = new EventDecoder("x86_64");

/** Little-endian, `size` bytes. */
function le(value: number | bigint, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Number(BigInt.asUintN(64, BigInt(value)) >> BigInt(8 * i) & 0xffn));
}

function chars(text: string, size = new TextEncoder().encode(text).length): number[] {
  const bytes = [...new TextEncoder().encode(text)];
  return [...bytes, ...new Array(size - bytes.length).fill(0)];
}

/** struct event as bpf/event.h has it, each field and pad, then the payload. */
function record(type: number, payload: number[], overrides: { flags?: number; result?: number } = {}): number[] {
  // deno-fmt-ignore
  return [
    ...le(0x0102030405060708n, 8), // ts_ns
    ...le(type, 2),
    3,                             // severity: info
    0x2c,                          // cpu, its lower byte
    ...le(4242, 4),                // pid
    ...le(4_294_967_294, 4),       // uid
    ...le(payload.length, 4),      // data_len
    ...le(0x1_0000_0001n, 8),      // cgroup_id
    ...chars("worker", 16),        // comm
    ...le(0x0102030405060700n, 8), // first_ns
    ...le(overrides.result ?? -13, 8),
    ...le(0x55n, 8),               // payload_hash
    ...le(16, 4),                  // weight
    ...le(3, 4),                   // repeats
    ...le(4243, 4),                // tid
    ...le(7, 4),                   // rules_generation
    ...le(300, 2),                 // cpu_full
    ...le(overrides.flags ?? 0, 2),
    1,                             // home_ring: normal
    0,                             // rule
    0, 0,                          // pad0
    ...payload,
  ];
}

const BASE: Omit<EventBase, "event"> = {
  severity: "info",
  tsNs: 0x0102030405060708n,
  cpu: 300,
  pid: 4242,
  tid: 4243,
  uid: 4_294_967_294,
  comm: "worker",
  cgroupId: 0x1_0000_0001n,
  result: -13,
  weight: 16,
  repeats: 3,
  firstNs: 0x0102030405060700n,
  spilled: false,
  rulesGeneration: 7,
};

/** The record in the midst of other bytes. */
function decode(bytes: number[]): RouterEvent | null {
  const data = new DataView(Uint8Array.from([0xee, 0xee, 0xee, ...bytes, 0xee]).buffer);
  return decoder.decode(data, 3, bytes.length);
}

// deno-fmt-ignore
const EXEC = record(0, [
  ...le(1, 4),  // ppid
  ...le(3, 4),  // argc
  ...le(7, 2),  // filename_len
  ...le(6, 2),  // args_len
  ...le(0, 4),  // pad0
  ...chars("/bin/ls"),
  ...chars("ls\0-l\0"),
]);
const EMPTY_LAST = record(0, [...le(1, 4), ...le(2, 4), ...le(1, 2), ...le(3, 2), ...le(0, 4), ...chars("x\x61\0\0")]);
const EXIT = record(1, [...le(0x0700, 4), ...le(0, 4)]);
// deno-fmt-ignore
const OPEN = record(2, [
  ...le(0o2000001, 8), // open_flags
  ...le(-100, 4),      // dirfd
  ...le(257, 4),       // syscall
  0x2f, 0xff, 0x1b, 0x0a,
], { flags: 1 | 8 });
// deno-fmt-ignore
const CONNECT4 = record(3, [
  192, 0, 2, 1, ...le(0, 12), // address
  ...le(2, 2),                // family
  ...le(443, 2),              // port
  ...le(5, 4),                // fd
]);
const CONNECT6 = record(3, [
  0x20,
  0x01,
  0x0d,
  0xb8,
  ...le(0, 8),
  ...le(0, 3),
  1,
  ...le(10, 2),
  ...le(53, 2),
  ...le(5, 4),
]);
const UNIX = record(3, [...le(0, 16), ...le(1, 2), ...le(0, 2), ...le(5, 4), ...chars("/run/x\0junk")]);
const ABSTRACT = record(3, [...le(0, 16), ...le(1, 2), ...le(0, 2), ...le(5, 4), ...chars("\0a\0b")]);
// deno-fmt-ignore
const TCP = record(4, [
  127, 0, 0, 1, ...le(0, 12), // src
  127, 0, 0, 2, ...le(0, 12), // dst
  ...le(2, 2),                // family
  ...le(40_000, 2),           // sport
  ...le(80, 2),               // dport
  1, 4,                       // old_state, new_state
]);
// deno-fmt-ignore
const PTRACE = record(5, [
  ...le(16, 8), ...le(77, 8), ...le(0, 8), ...le(0, 8), // args
  ...le(101, 4),                                        // syscall
  ...le(1, 2), ...le(0, 2),                             // kind, pad0
]);
const LIMIT = record(6, [...le(0, 32), ...le(257, 4), ...le(6, 2), ...le(0, 2), ...chars("/dev/null")]);
const ALL = [EXEC, EMPTY_LAST, EXIT, OPEN, CONNECT4, CONNECT6, UNIX, ABSTRACT, TCP, PTRACE, LIMIT];

Deno.test("EventDecoder takes the golden bytes of every type apart", () => {
  assertEquals(ALL.map(decode), [
    { ...BASE, event: "process_exec", filename: "/bin/ls", argv: ["ls", "-l"], argvTruncated: true, ppid: 1 },
    { ...BASE, event: "process_exec", filename: "x", argv: ["a", ""], argvTruncated: false, ppid: 1 },
    { ...BASE, event: "process_exit", exitCode: 7, signal: 0 },
    {
      ...BASE,
      event: "file_open",
      path: "/\ufffd\x1b\n",
      pathTruncated: true,
      flags: 0o2000001,
      syscall: "openat",
      spilled: true,
    },
    { ...BASE, event: "network_connect", family: "ipv4", address: "192.0.2.1", port: 443 },
    { ...BASE, event: "network_connect", family: "ipv6", address: "2001:db8::1", port: 53 },
    { ...BASE, event: "network_connect", family: "unix", address: "/run/x", port: 0 },
    { ...BASE, event: "network_connect", family: "unix", address: "@a\0b", port: 0 },
    {
      ...BASE,
      event: "tcp_state",
      family: "ipv4",
      src: "127.0.0.1",
      dst: "127.0.0.2",
      sport: 40_000,
      dport: 80,
      oldState: "ESTABLISHED",
      newState: "FIN_WAIT1",
    },
    { ...BASE, event: "security_violation", kind: "ptrace", syscall: "ptrace", detail: "request 16 on pid 77" },
    { ...BASE, event: "resource_limit", kind: "emfile", syscall: "openat", detail: "/dev/null" },
  ]);
});

Deno.test("EventDecoder marks what could not be read", () => {
  assertEquals(decode(record(1, [...le(0, 4), ...le(0, 4)], { flags: 16 }))?.unreadable, true);
});

Deno.test("EventDecoder reads results of any size", () => {
  for (const result of [0, 1, 2 ** 31, 2 ** 40 + 1, -1, -4095, -(2 ** 40)]) {
    assertEquals(decode(record(1, [...le(0, 4), ...le(0, 4)], { result }))?.result, result);
  }
});

Deno.test("EventDecoder returns null for a record of another length, type, severity or ring", () => {
  for (const bytes of ALL) {
    assertEquals(decode(bytes.slice(0, -1)), null);
    assertEquals(decode([...bytes, 0]), null);
    assertEquals(decode(bytes.slice(0, 95)), null);
    assertEquals(decode([]), null);
    for (const [at, value] of [[8, EVENT_TYPES.length], [9, 1], [10, 5], [92, RINGS.length]]) {
      assertEquals(decode(bytes.with(at, value)), null);
    }
    const data = new DataView(Uint8Array.from(bytes).buffer);
    assertEquals(decoder.decode(data, 8, bytes.length), null);
  }
});

Deno.test("EventDecoder takes 100,000 mutated records for what they are, and never throws", () => {
  // xorshift32: the same mutations in every run.
  let state = 0x9e3779b9;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  let decoded = 0;
  let refused = 0;
  for (let i = 0; i < 100_000; i++) {
    const bytes = Uint8Array.from(ALL[random(ALL.length)]);
    for (let changes = 1 + random(8); changes > 0; changes--) bytes[random(bytes.length)] = random(256);
    const lengthBytes = random(4) === 0 ? random(bytes.length + 1) : bytes.length;
    const event = decoder.decode(new DataView(bytes.buffer), 0, lengthBytes);
    if (event === null) refused++;
    else {
      decoded++;
      assert(typeof event.event === "string" && Number.isInteger(event.pid) && typeof event.comm === "string");
    }
  }
  assertEquals(decoded + refused, 100_000);
  assert(decoded > 10_000 && refused > 10_000);
});

Deno.test("EventDecoder leaves out what the kernel did not tell", () => {
  const INCOMPLETE = 32;
  const withFlag = (bytes: number[]) => record(bytes[8], bytes.slice(96), { flags: INCOMPLETE });
  const exec = decode(withFlag(EXEC));
  const exit = decode(withFlag(EXIT));
  assert(exec?.event === "process_exec" && exit?.event === "process_exit");
  assertEquals([exec.filename, exec.argv, "ppid" in exec, exec.incomplete], ["/bin/ls", ["ls", "-l"], false, true]);
  assertEquals(["exitCode" in exit, "signal" in exit, exit.incomplete], [false, false, true]);
});
