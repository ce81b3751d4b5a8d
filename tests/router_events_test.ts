/** Real processes do real things; each event is checked field by field. */
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertMatch } from "./assert.ts";
import { monotonicNs } from "../lib/ffi/libc.ts";
import { eventually } from "./support/fleet_cli.ts";
import { ACTOR, Actor, EVERYTHING, RING_BYTES, Watch } from "./support/router.ts";
import type { RouterEvent } from "../lib/events/event.ts";

const O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0o100, O_TRUNC = 0o1000, O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
/** Two flags have each other's value on arm64: this one and O_DIRECT. */
const O_DIRECTORY = Deno.build.arch === "x86_64" ? 0o200000 : 0o40000;
const ENOENT = -2,
  EPERM = -1,
  EACCES = -13,
  EFAULT = -14,
  EINVAL = -22,
  EMFILE = -24,
  ECONNREFUSED = -111,
  EAGAIN = -11;
const HAS_OLD_OPENS = Deno.build.arch === "x86_64";

/** The shared fields of events of one process, and times in their order. */
function assertBase(events: RouterEvent[], expected: { pid: number; uid?: number; fromNs: bigint }): void {
  let last = expected.fromNs;
  for (const event of events) {
    assertEquals(event.pid, expected.pid);
    assertEquals(event.tid, expected.pid);
    if (expected.uid !== undefined) assertEquals(event.uid, expected.uid);
    assertEquals(event.comm, ACTOR);
    assertGreaterOrEqual(event.tsNs, last);
    assertEquals(event.firstNs, event.tsNs);
    assert(event.cpu < navigator.hardwareConcurrency);
    assertEquals([event.weight, event.repeats, event.spilled, event.unreadable], [1, 1, false, event.unreadable]);
    assertEquals(event.rulesGeneration, 1);
    last = event.tsNs;
  }
}

Deno.test("file_open tells path, flags, call and result of every kind of open", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open"] });
  const fromNs = monotonicNs();
  const { pid, results } = await actor.run("opens", actor.dir);
  watch.finish();
  const events = watch.of("file_open");
  assertBase(events, { pid, uid: 0, fromNs });
  const file = `${actor.dir}/created`;
  const expected = [
    { syscall: HAS_OLD_OPENS ? "openat" : "openat", path: actor.dir, flags: O_DIRECTORY },
    ...(HAS_OLD_OPENS ? [{ syscall: "creat", path: file, flags: O_WRONLY | O_CREAT | O_TRUNC }] : []),
    { syscall: "openat", path: "created", flags: O_RDWR | O_APPEND },
    { syscall: "openat2", path: "created", flags: O_CLOEXEC },
    ...(HAS_OLD_OPENS ? [{ syscall: "open", path: file, flags: O_WRONLY }] : []),
    { syscall: "openat", path: "", flags: 0 },
    { syscall: "openat", path: "", flags: 0 },
    { syscall: "openat", path: "bad\ufffd\ufffd\x1b[31m\nname", flags: 0 },
    { syscall: "openat", path: "x".repeat(256), flags: 0 },
    { syscall: "openat", path: "x".repeat(256), flags: 0 },
  ];
  assertEquals(events.map(({ syscall, path, flags }) => ({ syscall, path, flags })), expected);
  assertEquals(events.map((event) => event.result), results);
  assertEquals(events.filter((event) => event.unreadable).map((event) => event.result), [EFAULT]);
  assertEquals(events.map((event) => event.pathTruncated).slice(-2), [false, true]);
  assert(events.every((event) => event.severity === "debug"));
});

Deno.test("process_exec tells file, arguments to the empty last one, and parent; process_exit its status", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["process_exec", "process_exit"] });
  const fromNs = monotonicNs();
  const { pid, code } = await actor.run("exit", "7", "two words", "\x1b[2J\n", "");
  const { pid: abortedPid, signal } = await actor.run("abort");
  const long = await actor.run("nothing", "y".repeat(5_000));
  watch.finish();
  assertEquals([code, signal], [0, "SIGABRT"]);

  const execs = watch.of("process_exec");
  assertBase(execs.slice(0, 1), { pid, uid: 0, fromNs });
  assertEquals(execs[0].filename, actor.path);
  assertEquals(execs[0].argv, [actor.path, "exit", "7", "two words", "\x1b[2J\n", ""]);
  assertEquals([execs[0].argvTruncated, execs[0].severity, execs[0].result], [false, "critical", 0]);
  assertEquals(execs[0].ppid, Deno.pid);
  assertEquals(execs.map((event) => event.pid), [pid, abortedPid, long.pid]);
  assertEquals(execs[2].argv[1], "nothing");
  assertEquals(execs[2].argvTruncated, true);
  assertMatch(execs[2].argv[2], /^y{900,1024}$/);

  const exits = watch.of("process_exit");
  assertEquals(exits.map(({ pid, exitCode, signal, severity }) => ({ pid, exitCode, signal, severity })), [
    { pid, exitCode: 0, signal: 0, severity: "debug" },
    { pid: abortedPid, exitCode: 0, signal: 6, severity: "debug" },
    { pid: long.pid, exitCode: 0, signal: 0, severity: "debug" },
  ]);
});

Deno.test("process_exit tells the code that a process ends with, once, however many threads it has", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["process_exit"] });
  const { pid, code } = await actor.run("exit", "7");
  watch.finish();
  assertEquals(code, 7);
  assertEquals(watch.of("process_exit").map((event) => [event.pid, event.exitCode, event.signal]), [[pid, 7, 0]]);
});

Deno.test("an exec that fails is no exec", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["process_exec"], only: EVERYTHING });
  const name = `${actor.dir}/missing`;
  const { code } = await new Deno.Command("/bin/sh", { args: ["-c", `${name}; exit 0`], stderr: "null" }).output();
  watch.finish();
  assertEquals(code, 0);
  const execs = watch.of("process_exec");
  assert(execs.some((event) => event.argv.at(-1)?.startsWith(name)));
  assertEquals(execs.filter((event) => event.filename === name), []);
});

Deno.test("network_connect tells address, port and result for IPv4, IPv6, unix and abstract names", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["network_connect"] });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const fromNs = monotonicNs();
  const { pid, results } = await actor.run("connects", String(listener.addr.port), "9");
  listener.close();
  watch.finish();
  const events = watch.of("network_connect");
  assertBase(events, { pid, uid: 0, fromNs });
  assertEquals(events.map(({ family, address, port, result, severity }) => [family, address, port, result, severity]), [
    ["ipv4", "127.0.0.1", listener.addr.port, 0, "info"],
    ["ipv6", "::1", 9, results[1], "info"],
    ["unix", "/nonexistent/socket", 0, ENOENT, "info"],
    ["unix", "@abstract\0name", 0, ECONNREFUSED, "info"],
  ]);
  assertEquals(events.map((event) => event.result), results);
});

Deno.test("tcp_state follows a connection and names the process that made it", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["tcp_state"] });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { pid } = await actor.run("connects", String(listener.addr.port), "9");
  const connection = await listener.accept();
  connection.close();
  listener.close();
  const seen = () => watch.of("tcp_state").filter((event) => event.pid === pid && event.dport === listener.addr.port);
  await eventually(() => {
    watch.readAll();
    return seen().length >= 3;
  }, () => "third state");
  watch.finish();
  const states = seen();
  assertEquals(states[0].oldState, "CLOSE");
  assertEquals(states.map((event) => event.newState).slice(0, 3), ["SYN_SENT", "ESTABLISHED", "FIN_WAIT1"]);
  assertEquals(states[1].src, "127.0.0.1");
  assertEquals(states[1].dst, "127.0.0.1");
  assertGreater(states[1].sport, 0);
  assertEquals(states[1].comm, ACTOR);
  assertEquals(states[1].family, "ipv4");
});

Deno.test("security_violation tells refusals by the real uid, and what is one however it ends", async () => {
  await using actor = await Actor.build();
  await Deno.chmod(actor.dir, 0o755);
  using watch = new Watch({ sources: ["security_violation"] });
  const fromNs = monotonicNs();
  const { pid, results } = await actor.run("violations", actor.dir);
  watch.finish();
  const events = watch.of("security_violation");
  assertBase(events, { pid, fromNs });
  assertEquals(events.map(({ kind, syscall, uid, detail }) => [kind, syscall, uid, detail]), [
    ["setuid_root", "setuid", 0, ""],
    ["bpf", "bpf", 0, "command 4294967295"],
    ["mount", "mount", 0, "/nonexistent"],
    ["module_load", "finit_module", 0, ""],
    ["ptrace", "ptrace", 0, "request 16 on pid 2147483632"],
    ["denied", HAS_OLD_OPENS ? events[5].syscall : "openat", 65534, `${actor.dir}/secret`],
    ["denied", HAS_OLD_OPENS ? events[6].syscall : "unlinkat", 65534, `${actor.dir}/secret`],
    ["denied", "setuid", 65534, ""],
    ["denied", "sethostname", 65534, ""],
  ]);
  assertEquals(events.map((event) => event.result), results);
  assertEquals(results.slice(-4), [EACCES, EACCES, EPERM, EPERM]);
  assert(events.every((event) => event.severity === "critical"));
});

Deno.test("resource_limit tells which limit a process met", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["resource_limit"] });
  const fromNs = monotonicNs();
  const { pid, results } = await actor.run("limits");
  watch.finish();
  const events = watch.of("resource_limit");
  assertBase(events, { pid, fromNs });
  assertEquals(events.map(({ kind, syscall, detail, result, severity }) => [kind, syscall, detail, result, severity]), [
    ["emfile", "openat", "/dev/null", EMFILE, "error"],
    ["emfile", "socket", "", EMFILE, "error"],
    ["eagain", "clone", "", EAGAIN, "error"],
  ]);
  assertEquals(events.map((event) => event.result), results);
});

Deno.test("a 32-bit call is not taken for the one that has its number in the other table", async () => {
  if (Deno.build.arch !== "x86_64") return;
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open", "network_connect", "process_exit"] });
  const { pid, results } = await actor.run("foreign");
  watch.finish();
  // They ran as remap_file_pages() and pipe(): openat() of no path would answer EFAULT, connect() EBADF or ENOTSOCK.
  assertEquals(results, [EINVAL, EFAULT]);
  assertEquals(watch.of("process_exit").map((event) => event.pid), [pid]);
  assertEquals([watch.of("file_open"), watch.of("network_connect")], [[], []]);
});

Deno.test("what the monitor itself does is no event", async () => {
  // Room for whatever else the machine opens meanwhile.
  using watch = new Watch({ sources: ["file_open"], only: EVERYTHING, ringBytes: { ...RING_BYTES, debug: 16 << 20 } });
  const name = crypto.randomUUID();
  await Deno.stat("/").catch(() => {});
  await Deno.open(`/nonexistent/${name}`).catch(() => {});
  await new Deno.Command("/bin/sh", { args: ["-c", `: < /nonexistent/${name}`], stderr: "null" }).output();
  watch.finish();
  const opens = watch.of("file_open").filter((event) => event.path.endsWith(name));
  assertEquals(opens.length, 1);
  assert(opens[0].pid !== Deno.pid);
});

Deno.test("filters hold in the kernel and count what they leave out", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({
    sources: ["file_open", "process_exec"],
    only: { ...EVERYTHING, comm: ACTOR, rings: ["critical"] },
  });
  await actor.run("same", "/nonexistent", "100");
  watch.finish();
  assertEquals(watch.of("file_open").length, 0);
  assertEquals(watch.of("process_exec").length, 1);
  const { seen, filtered, attempts } = watch.probe.counters();
  assertGreaterOrEqual(filtered, 100n);
  assertEquals(seen, filtered + attempts[0]);
});
