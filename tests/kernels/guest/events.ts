/** Every type of event from a process that did it, live rules, a ring that grows, and the sums at the end. */
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertMatch } from "../../assert.ts";
import { Cli, type JsonObject } from "../../support/cli.ts";
import { delay } from "../../../lib/runtime/timers.ts";
import { output } from "../command.ts";
import { type Actor, runActor } from "./actor.ts";
import { testNet } from "./programs_run.ts";
import { type Guest, subject } from "./subject.ts";

const FLOOD = "/nonexistent/flood";
const FLOOD_OPENS = 4_000;
const RULED = "/nonexistent/ruled";
const DEBUG_RING_BYTES = 8_192;
const ACTOR = "router_actor";
const O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0o100, O_TRUNC = 0o1000, O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
/** On arm64 this flag and O_DIRECT have each other's value. */
const O_DIRECTORY = Deno.build.arch === "x86_64" ? 0o200000 : 0o40000;
const EACCES = -13, ENOENT = -2, EMFILE = -24, EAGAIN = -11, ECONNREFUSED = -111;
const HAS_OLD_OPENS = Deno.build.arch === "x86_64";
const HOG_MEGABYTES = 200;

/** What must not be lost goes to the normal ring; the flood goes to the small debug ring. */
function rulesOf(severity: string): string {
  const info = (event: string) => `  - { name: ${event}, match: { event: ${event} }, severity: info }\n`;
  return "rules:\n" +
    `  - { name: flood, match: { event: file_open, path_prefix: ${FLOOD} }, severity: debug }\n` +
    `  - { name: ruled, match: { event: file_open, path_prefix: ${RULED} }, severity: ${severity} }\n` +
    info("file_open") + info("process_exit");
}

/** Runs the actor in a cgroup that may use less memory than it takes. */
async function runOutOfMemory(actor: string): Promise<{ pid: number; signal: string | null }> {
  const cgroup = "/sys/fs/cgroup/ebpfmon-oom";
  await Deno.writeTextFile("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
  await Deno.mkdir(cgroup, { recursive: true });
  await Deno.writeTextFile(`${cgroup}/memory.max`, `${32 << 20}`);
  const script = `echo $$ >${cgroup}/cgroup.procs; exec ${actor} hog ${HOG_MEGABYTES}`;
  const child = new Deno.Command("sh", { args: ["-c", script], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  const { signal } = await child.status;
  await output("rmdir", [cgroup]);
  return { pid: child.pid, signal };
}

/** The fields that every event of one process shares. */
function assertBase(events: JsonObject[], expected: { pid: number; uid?: number }): void {
  let last = 0;
  for (const event of events) {
    assertEquals([event.pid, event.tid, event.comm], [expected.pid, expected.pid, ACTOR]);
    if (expected.uid !== undefined) assertEquals(event.uid, expected.uid);
    assertGreaterOrEqual(event.ts_ns, last);
    assertEquals([event.weight, event.repeats, event.spilled], [1, 1, false]);
    last = event.ts_ns;
  }
}

/** Those of a type, by one process, in the order of their times. */
function eventsOf(objects: JsonObject[], type: string, { pid }: { pid: number }): JsonObject[] {
  return objects.filter((object) => object.type === "event" && object.event === type && object.pid === pid)
    .sort((a, b) => a.ts_ns - b.ts_ns);
}

async function gather(guest: Guest) {
  const net = await testNet(guest);
  const dir = await Deno.makeTempDir({ prefix: "ebpfmon-events-" });
  // The actor's steps without root have to reach its files.
  await Deno.chmod(dir, 0o755);
  const actor: Actor = { path: `${dir}/${ACTOR}` };
  await Deno.copyFile(`${guest.data}/${ACTOR}`, actor.path);
  const config = `${dir}/rules.yaml`;
  await Deno.writeTextFile(config, rulesOf("info"));
  const rings = ["--ring-debug", `${DEBUG_RING_BYTES}`, "--ring-max", "1048576", "--rate-limit", "0"];
  const only = ["--comm", ACTOR, "--no-repeat-suppression"];
  const cli = new Cli(net, ["events", "--json", "--listen", "off", "--config", config, ...rings, ...only]);
  const ready = await cli.ready();

  const run = (...args: string[]) => runActor(actor, args);
  const executed = await run("nothing", "two words", "");
  const exited = await run("exit", "7");
  const aborted = await run("abort");
  const opened = await run("opens", dir);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const connected = await run("connects", `${port}`, "9");
  (await listener.accept()).close();
  listener.close();
  const violated = await run("violations", dir);
  const limited = await run("limits");
  // Where there is no memory cgroup the other checks still count.
  const starved = await runOutOfMemory(actor.path).catch((error: Error) => error);

  const before = await run("flood", RULED, "1");
  await cli.until(({ type, path }) => type === "event" && path === `${RULED}/0`);
  await Deno.writeTextFile(config, rulesOf("warning"));
  cli.kill("SIGHUP");
  // When they are in force only an event tells.
  const after = await (async () => {
    for (;;) {
      const tried = await run("flood", RULED, "1");
      const event = await cli.until(({ type, pid, path }) =>
        type === "event" && pid === tried.pid && path !== undefined
      );
      if (event.rules_generation > 1) return tried;
      await delay(500);
    }
  })();

  const flooded = await run("flood", FLOOD, `${FLOOD_OPENS}`);
  const grown = ({ type, rings }: JsonObject) =>
    type === "health" &&
    rings.some((ring: JsonObject) => ring.ring === "debug" && ring.capacity_bytes > DEBUG_RING_BYTES);
  const grew = await cli.until(grown).then(() => true, () => false);
  const floodedAgain = await run("flood", FLOOD, `${FLOOD_OPENS}`);
  await delay(2_000);
  cli.kill("SIGINT");
  const { code, stderr, objects } = await cli.result();
  // deno-fmt-ignore
  return {
    dir, actor, port, ready, code, stderr, objects, executed, exited, aborted, opened, connected, violated, limited, starved, before, after,
    flooded, floodedAgain, grew,
  };
}

export const events = subject({
  name: "events",
  limitSeconds: 240,
  gather,
  checks: {
    "every source is watched, and nothing is said on standard error but of the rules": ({ ready, stderr, code }) => {
      assertEquals(ready.sources.length, 7);
      assertEquals(stderr.filter((line) => !/the rules of .* are in force/.test(line)), []);
      assertEquals(code, 0);
    },
    "process_exec tells file, arguments, parent and user": ({ objects, actor, executed }) => {
      const execs = eventsOf(objects, "process_exec", executed);
      assertBase(execs, { pid: executed.pid, uid: 0 });
      assertEquals(
        execs.map((
          { filename, argv, argv_truncated, ppid, severity, result },
        ) => [filename, argv, argv_truncated, ppid, severity, result]),
        [[actor.path, [actor.path, "nothing", "two words", ""], false, Deno.pid, "critical", 0]],
      );
    },
    "process_exit tells the code or the signal, once": ({ objects, exited, aborted }) => {
      const ends = [exited, aborted].flatMap((process) => eventsOf(objects, "process_exit", process));
      assertEquals(ends.map(({ pid, exit_code, signal }) => [pid, exit_code, signal]), [
        [exited.pid, 7, 0],
        [aborted.pid, 0, 6],
      ]);
    },
    "file_open tells path, flags, call and result of every kind of open": ({ objects, dir, opened }) => {
      const opens = eventsOf(objects, "file_open", opened);
      assertBase(opens, { pid: opened.pid, uid: 0 });
      const file = `${dir}/created`;
      const expected = [
        ["openat", dir, O_DIRECTORY],
        ...(HAS_OLD_OPENS ? [["creat", file, O_WRONLY | O_CREAT | O_TRUNC]] : []),
        ["openat", "created", O_RDWR | O_APPEND],
        ["openat2", "created", O_CLOEXEC],
        ...(HAS_OLD_OPENS ? [["open", file, O_WRONLY]] : []),
        ["openat", "", 0],
        ["openat", "", 0],
        ["openat", "bad\ufffd\ufffd\x1b[31m\nname", 0],
        ["openat", "x".repeat(256), 0],
        ["openat", "x".repeat(256), 0],
      ];
      assertEquals(opens.map(({ syscall, path, flags }) => [syscall, path, flags]), expected);
      assertEquals(opens.map(({ result }) => result), opened.results);
      assertEquals(opens.map(({ path_truncated }) => path_truncated).slice(-2), [false, true]);
    },
    "network_connect tells address, port and result of IPv4, IPv6 and Unix sockets": ({ objects, port, connected }) => {
      const connects = eventsOf(objects, "network_connect", connected);
      assertBase(connects, { pid: connected.pid, uid: 0 });
      assertEquals(connects.map(({ family, address, port, result }) => [family, address, port, result]), [
        ["ipv4", "127.0.0.1", port, 0],
        ["ipv6", "::1", 9, connected.results[1]],
        ["unix", "/nonexistent/socket", 0, ENOENT],
        ["unix", "@abstract\0name", 0, ECONNREFUSED],
      ]);
    },
    "tcp_state follows a connection and names the process that made it": ({ objects, port, connected }) => {
      const states = eventsOf(objects, "tcp_state", connected).filter(({ dport }) => dport === port);
      assertEquals(states.map(({ new_state }) => new_state).slice(0, 3), ["SYN_SENT", "ESTABLISHED", "FIN_WAIT1"]);
      assertEquals([states[0].old_state, states[1].src, states[1].dst], ["CLOSE", "127.0.0.1", "127.0.0.1"]);
      assertEquals([states[1].comm, states[1].family], [ACTOR, "ipv4"]);
      assertGreater(states[1].sport, 0);
    },
    "security_violation tells refusals, and what is one however it ends": ({ objects, dir, violated }) => {
      const found = eventsOf(objects, "security_violation", violated);
      assertBase(found, { pid: violated.pid });
      const [openat, unlink] = HAS_OLD_OPENS ? [found[5]?.syscall, found[6]?.syscall] : ["openat", "unlinkat"];
      assertEquals(found.map(({ kind, syscall, uid, detail }) => [kind, syscall, uid, detail]), [
        ["setuid_root", "setuid", 0, ""],
        ["bpf", "bpf", 0, "command 4294967295"],
        ["mount", "mount", 0, "/nonexistent"],
        ["module_load", "finit_module", 0, ""],
        ["ptrace", "ptrace", 0, "request 16 on pid 2147483632"],
        ["denied", openat, 65534, `${dir}/secret`],
        ["denied", unlink, 65534, `${dir}/secret`],
        ["denied", "setuid", 65534, ""],
        ["denied", "sethostname", 65534, ""],
      ]);
      assertEquals(found.map(({ result }) => result), violated.results);
      assertEquals(found[5].result, EACCES);
      assert(found.every(({ severity }) => severity === "critical"));
    },
    "resource_limit tells which limit a process met": ({ objects, limited }) => {
      const found = eventsOf(objects, "resource_limit", limited);
      assertBase(found, { pid: limited.pid });
      assertEquals(
        found.map(({ kind, syscall, detail, result, severity }) => [kind, syscall, detail, result, severity]),
        [
          ["emfile", "openat", "/dev/null", EMFILE, "error"],
          ["emfile", "socket", "", EMFILE, "error"],
          ["eagain", "clone", "", EAGAIN, "error"],
        ],
      );
    },
    "resource_limit tells a victim of the OOM killer": ({ objects, starved }) => {
      if (starved instanceof Error) throw starved;
      assertEquals(starved.signal, "SIGKILL");
      const found = objects.filter(({ event, pid }) => event === "resource_limit" && pid === starved.pid);
      assertEquals(found.map(({ severity, comm }) => [severity, comm]), [["error", ACTOR]]);
      assertMatch(found[0].kind, /oom/);
    },
    "rules change on SIGHUP, and each event is judged by those in force": ({ objects, before, after }) => {
      const judged = [before, after].flatMap((process) => eventsOf(objects, "file_open", process));
      assertEquals(judged.map(({ rules_generation, severity }) => [rules_generation, severity]), [
        [1, "info"],
        [2, "warning"],
      ]);
    },
    "a ring that drops is replaced by a larger one": ({ grew }) => assert(grew),
    "every open of a flood is a record, or is counted as dropped or held back": (evidence) => {
      const { objects, flooded, floodedAgain } = evidence;
      const records = [flooded, floodedAgain].flatMap((process) => eventsOf(objects, "file_open", process)).length;
      const { rings, sampled_out, rate_limited } = objects.at(-1)!;
      const debug = rings.find(({ ring }: JsonObject) => ring === "debug");
      assertEquals(records + debug.dropped + debug.failures + sampled_out + rate_limited, 2 * FLOOD_OPENS);
    },
    "the summary's equations hold": ({ objects }) => {
      const { type, rings, pipeline } = objects.at(-1)!;
      assertEquals(type, "summary");
      for (const { ring, submitted, consumed } of rings) assertEquals([ring, submitted], [ring, consumed]);
      assertEquals(pipeline.unaccounted, 0);
    },
  },
});
