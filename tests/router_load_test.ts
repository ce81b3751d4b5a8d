/** Floods, full rings, limits and swaps: every count is accounted for, and nothing critical is lost. */
import { assert, assertEquals, assertGreater, assertLess } from "./assert.ts";
import type { RuleSet } from "../lib/events/rule_set.ts";
import type { Severity, SharedRing } from "../lib/events/event.ts";
import { monotonicNs } from "../lib/ffi/libc.ts";
import { EVENT, VIOLATION_PAYLOAD } from "../lib/wire/layouts.gen.ts";
import { ACTOR, Actor, EVERYTHING, RING_BYTES, sumOf, Watch } from "./support/router.ts";

const FLOODERS = 3;
const FLOOD = 100_000;
const EXECS = 1_000;
/** How often a load is sent before a test gives up that needs it to show something. */
const ROUNDS_MAX = 20;

/** The equations of the rings in docs/reference.md, section Accounting, once nothing runs and everything is read. */
function assertAccounted(watch: Watch): void {
  const count = watch.probe.counters();
  const attempts = sumOf(count.attempts);
  assertEquals(
    count.seen + count.flushed,
    count.filtered + count.repeatsHeld + count.rateLimited + count.sampledOut + attempts,
  );
  assertEquals(attempts, sumOf(count.submitted) + sumOf(count.dropped) + sumOf(count.failures));
  (["critical", "normal", "debug"] as const).forEach((ring, i) => {
    const { consumed, fill } = watch.probe.rings.state(ring);
    assertEquals([BigInt(consumed), fill], [count.submitted[i], 0], ring);
    assertEquals(watch.events[ring].length, consumed);
  });
  assertEquals(sumOf(count.droppedByType), sumOf(count.dropped));
  assertEquals(sumOf([...watch.probe.held().dropped.values()]), sumOf(count.dropped));
  assertEquals(sumOf([...watch.probe.held().rateLimited.values()]), count.rateLimited);
  assertEquals(watch.undecodable, 0);
}

Deno.test("1,000 root execs inside a flood of opens all arrive, in order, and the flood is accounted for", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open", "process_exec"] });
  const executor = actor.start("execs", String(EXECS));
  let floods = 0;
  /** The ring of opens must have been too small for them, or the test is void: how often depends on the machine. */
  const isTooMuch = () => {
    const { dropped, sampledOut } = watch.probe.counters();
    return dropped[2] + sampledOut > 0n;
  };
  const floodOn = async () => {
    do {
      const flooders = Array.from({ length: FLOODERS }, () => actor.start("flood", `/flood${floods++}`, String(FLOOD)));
      for (const { go } of flooders) await go();
      await Promise.all(flooders.map(({ done }) => done));
    } while (!isTooMuch() && floods < FLOODERS * ROUNDS_MAX);
  };
  const flooding = floodOn();
  await executor.go();
  await watch.readUntil(Promise.all([flooding, executor.done]));
  watch.finish();

  const execs = watch.of("process_exec").filter((event) => event.argv[1] === "nothing");
  assertEquals(execs.map((event) => Number(event.argv[2])), Array.from({ length: EXECS }, (_, i) => i));
  assert(execs.every((event) => event.severity === "critical" && event.ppid === executor.pid));
  assertAccounted(watch);
  const { seen, filtered, attempts, sampledOut, dropped } = watch.probe.counters();
  assertEquals(attempts[0], BigInt(EXECS + floods + 1));
  assertEquals(attempts[2] + sampledOut, BigInt(floods * FLOOD));
  assertEquals(seen - filtered, BigInt(floods * FLOOD + EXECS + floods + 1));
  assertEquals(dropped[0], 0n);
  assertGreater(dropped[2] + sampledOut, 0n);
});

Deno.test("sampling estimates the number of events without bias", async () => {
  await using actor = await Actor.build();
  // Nobody reads: three quarters of the ring take every event, an eighth one in 4, the last eighth one in 16, and has room
  // for five times as many as come.
  using watch = new Watch({ sources: ["file_open"], ringBytes: { ...RING_BYTES, debug: 8 << 20 } });
  await actor.run("same", "/nonexistent", String(FLOOD));
  watch.finish();
  assertAccounted(watch);
  const { dropped, sampledOut } = watch.probe.counters();
  assertEquals(dropped[2], 0n);
  assertGreater(sampledOut, 0n);
  const opens = watch.of("file_open");
  assertEquals(new Set(opens.map((event) => event.weight)), new Set([1, 4, 16]));
  const estimate = opens.reduce((sum, event) => sum + event.weight, 0);
  assertLess(Math.abs(estimate - FLOOD) / FLOOD, 0.1);
});

Deno.test("critical events spill while nobody reads, and are dropped only when all rings are full", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["security_violation"] });
  const attempts = 10_000;
  const { pid } = await actor.run("deny", String(attempts));
  watch.probe.detach();
  watch.probe.fence();

  // A ring takes records as long as the positions differ by less than its size.
  const recordBytes = (8 + EVENT.size + VIOLATION_PAYLOAD.size + 7) & ~7;
  const room = (ring: SharedRing) => Math.floor((RING_BYTES[ring] - 1) / recordBytes);
  const [critical, normal, debug] = [room("critical"), room("normal"), room("debug")];
  const count = watch.probe.counters();
  assertEquals(count.submitted.map(Number), [critical, normal, debug, 0]);
  assertEquals(count.spilled.map(Number), [normal + debug, 0, 0, 0]);
  assertEquals(count.dropped.map(Number), [attempts - critical - normal - debug, 0, 0, 0]);
  assertEquals(watch.probe.held().dropped, new Map([[pid, count.dropped[0]]]));

  watch.readAll();
  assertAccounted(watch);
  assert(watch.events.critical.every((event) => !event.spilled));
  assert([...watch.events.normal, ...watch.events.debug].every((event) => event.spilled));
  assert(watch.of("security_violation").every((event) => event.severity === "critical"));
});

Deno.test("a ring swapped for another under load loses nothing and keeps the order", async () => {
  await using actor = await Actor.build();
  // As warnings they go to the normal ring, which is not sampled.
  using watch = new Watch({
    sources: ["file_open"],
    rules: [{ name: "all", match: { event: "file_open" }, action: { set: "warning" } }],
  });
  const opens = 5 * FLOOD;
  const pids: number[] = [];
  let running = true;
  let swaps = 0;
  // A busy machine may take long for a swap: the flood goes on until there were enough of them.
  const floodOn = async () => {
    do {
      const flooders = [0, 1].map((i) => actor.start("flood", `/flood${i}`, String(opens)));
      for (const { pid, go } of flooders) {
        pids.push(pid);
        await go();
      }
      await Promise.all(flooders.map((flooder) => flooder.done));
    } while (swaps <= 5);
  };
  const done = floodOn().finally(() => running = false);
  while (running) {
    watch.probe.rings.resize("normal", (++swaps % 3 + 1) * (1 << 20), watch.take("normal"));
    watch.readAll();
    await watch.probe.rings.wait(1);
  }
  await done;
  watch.finish();
  assertGreater(swaps, 5);
  assertAccounted(watch);
  const { dropped, submitted } = watch.probe.counters();
  assertEquals(submitted[1] + dropped[1], BigInt(pids.length * opens));
  for (const pid of pids) {
    const numbers = watch.events.normal.filter((event) => event.pid === pid)
      .map((event) => event.event === "file_open" ? Number(event.path.split("/")[2]) : -1);
    assert(numbers.every((number, i) => i === 0 || number > numbers[i - 1]));
  }
});

Deno.test("repeats of an open become one record that counts them", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open"], repeatSuppression: true });
  const fromNs = monotonicNs();
  const { pid } = await actor.run("same", "/etc/hostname", "5000");
  watch.finish();
  const seconds = Number(monotonicNs() - fromNs) / 1e9;
  assertAccounted(watch);
  const opens = watch.of("file_open");
  assertEquals(opens.reduce((sum, event) => sum + event.repeats, 0), 5_000);
  // Each CPU sends one at the begin of a second and one for those that it held back.
  assertLess(opens.length, 20 + 2 * navigator.hardwareConcurrency * seconds);
  assert(opens.every((event) => event.pid === pid && event.path === "/etc/hostname" && event.firstNs <= event.tsNs));
});

Deno.test("a rate limit holds a cgroup back, and says whom and how often", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open"], rateLimit: 1_000 });
  const fromNs = monotonicNs();
  const { pid } = await actor.run("same", "/nonexistent", "20000");
  const seconds = Number(monotonicNs() - fromNs) / 1e9;
  watch.finish();
  assertAccounted(watch);
  const { rateLimited, attempts, sampledOut } = watch.probe.counters();
  assertEquals(rateLimited + sumOf(attempts) + sampledOut, 20_000n);
  // The bucket holds what a second brings; two CPUs at once may take a few more.
  assertLess(Number(20_000n - rateLimited), 1_000 * (1 + seconds) + 100);
  assertGreater(rateLimited, 0n);
  assertEquals(watch.probe.held().rateLimited, new Map([[pid, rateLimited]]));
});

Deno.test("rules judge by type, uid, comm, path, port and result; the first that matches applies", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({
    sources: ["file_open", "network_connect", "process_exec"],
    rules: [
      { name: "port", match: { event: "network_connect", port: 9 }, action: { set: "critical" } },
      { name: "created", match: { pathPrefix: `${actor.dir}/cre` }, action: { set: "error" } },
      { name: "dir", match: { pathPrefix: actor.dir, event: "file_open" }, action: { atLeast: "warning" } },
      { name: "missing", match: { result: -2, comm: ACTOR, uid: 0 }, action: { atLeast: "info" } },
      { name: "other uid", match: { uid: 4_000_000_000 }, action: { set: "critical" } },
      { name: "lower", match: { event: "process_exec", comm: ACTOR }, action: { set: "info" } },
      { name: "never lower", match: { event: "network_connect" }, action: { atLeast: "debug" } },
    ],
  });
  await actor.run("opens", actor.dir);
  await actor.run("connects", "9", "10");
  const generation = watch.probe.setRules({ rules: [] });
  await actor.run("connects", "9", "10");
  watch.finish();
  assertEquals(generation, 2);
  const severityOf = (path: string) =>
    watch.of("file_open").filter((event) => event.path === path).map((event) => event.severity);
  assertEquals(severityOf(actor.dir), ["warning"]);
  assert(severityOf(`${actor.dir}/created`).every((severity) => severity === "error"));
  assertEquals(severityOf("created"), ["debug", "debug"]);
  assertEquals(severityOf("bad\ufffd\ufffd\x1b[31m\nname"), ["info"]);
  const connects = watch.of("network_connect").map((event) => [event.port, event.severity, event.rulesGeneration]);
  assertEquals(connects.slice(0, 2), [[9, "critical", 1], [10, "info", 1]]);
  assertEquals(connects.slice(4, 6), [[9, "info", 2], [10, "info", 2]]);
  assertEquals(watch.of("process_exec").map((event) => event.severity), ["info", "info", "critical"]);
});

Deno.test("rules reloaded under a flood judge each event by one set, and every event is counted", async () => {
  await using actor = await Actor.build();
  const path = (severity: Severity): RuleSet => ({
    rules: [{ name: "path", match: { event: "file_open", pathPrefix: "/flood" }, action: { set: severity } }],
  });
  const comm = (severity: Severity): RuleSet => ({
    rules: [
      { name: "other", match: { comm: "nobody", uid: 77 }, action: { set: "critical" } },
      { name: "comm", match: { comm: ACTOR }, action: { set: severity } },
    ],
    watch: [{ name: "none", nets: [], ports: [1], atLeast: "critical" }],
  });
  const drop: RuleSet = {
    rules: [{ name: "all", match: { uid: 0 }, action: { set: "critical" } }],
    filters: [{ name: "flood", match: { comm: ACTOR, pathPrefix: "/flood" }, action: "drop" }],
  };
  // By generation, which is a set's number from 1 on. Neither severity is sampled, none is critical.
  const sets = [path("warning"), comm("info"), drop, path("info"), comm("warning")];
  const severities = ["warning", "info", null, "info", "warning"] as const;
  using watch = new Watch({
    sources: ["file_open"],
    ...sets[0],
    ringBytes: { critical: 4096, normal: 16 << 20, debug: 4096 },
  });
  let generation = 1;
  let opens = 0n;
  let rounds = 0;
  let running = true;
  const judgedBy = () => new Set(watch.of("file_open").map((event) => event.rulesGeneration)).size;
  const dropped = () => {
    const { seen, filtered } = watch.probe.counters();
    // By `only` first: what other processes open is filtered too.
    return filtered - (seen - opens);
  };
  // A busy machine may take long for a set: the flood goes on until enough of them have judged some of it.
  const floodOn = async () => {
    do {
      const flooders = [0, 1].map((i) => actor.start("flood", `/flood${i}`, String(5 * FLOOD)));
      for (const { go } of flooders) await go();
      await Promise.all(flooders.map((flooder) => flooder.done));
      opens += BigInt(2 * 5 * FLOOD);
      rounds++;
    } while ((generation <= 10 || judgedBy() <= 5 || dropped() === 0n) && rounds < ROUNDS_MAX);
  };
  const done = floodOn().finally(() => running = false);
  while (running) {
    const set = sets[generation % sets.length];
    assertEquals(watch.probe.setRules(set), ++generation);
    watch.readAll();
    await watch.probe.rings.wait(1);
  }
  await done;
  watch.finish();
  assertGreater(generation, 10);
  assertAccounted(watch);
  const events = watch.of("file_open");
  for (const { severity, rulesGeneration } of events) {
    if (severity !== severities[(rulesGeneration - 1) % sets.length]) {
      throw new Error(`Judged ${severity} by generation ${rulesGeneration}`);
    }
  }
  const count = watch.probe.counters();
  const others = count.seen - opens;
  assertEquals(BigInt(events.length) + sumOf(count.dropped) + count.filtered, opens + others);
  assertGreater(dropped(), 0n);
  assertGreater(judgedBy(), 5);
});

Deno.test("a filter by pid leaves everybody else out", async () => {
  await using actor = await Actor.build();
  const waiting = actor.start("flood", "/flood", "10");
  using watch = new Watch({ sources: ["file_open"], only: { ...EVERYTHING, pid: waiting.pid } });
  await actor.run("same", "/nonexistent", "10");
  await waiting.go();
  await waiting.done;
  watch.finish();
  assertEquals(watch.of("file_open").map((event) => event.pid), new Array(10).fill(waiting.pid));
  assertAccounted(watch);
});
