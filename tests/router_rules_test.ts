/** Filters, watch lists, limits and sampling of a rule set, by what real processes do. */
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "./assert.ts";
import { parseCidr } from "../lib/net/address.ts";
import { SystemError } from "../lib/runtime/errors.ts";
import { readKernelFile } from "../lib/ffi/libc.ts";
import type { FilterMatch, FilterRule, RuleSet, WatchList } from "../lib/events/rule_set.ts";
import { SEVERITIES, type Severity } from "../lib/events/event.ts";
import { ACTOR, Actor, sumOf, Watch } from "./support/router.ts";

function cidrs(...texts: string[]): WatchList["nets"] {
  return texts.map((text) => parseCidr(text)!);
}

function filter(action: FilterRule["action"], match: FilterMatch): FilterRule {
  return { name: action, match, action };
}

/** seen + flushed = filtered + held + limited + sampled + attempts, and all attempts were read. */
function assertAccounted(watch: Watch): void {
  const { seen, flushed, filtered, repeatsHeld, rateLimited, sampledOut, attempts, submitted, dropped } = watch.probe
    .counters();
  assertEquals(seen + flushed, filtered + repeatsHeld + rateLimited + sampledOut + sumOf(attempts));
  assertEquals(sumOf(attempts), sumOf(submitted) + sumOf(dropped));
  assertEquals(Object.values(watch.events).flat().length, Number(sumOf(submitted)));
}

Deno.test("filters drop what they match, or keep only that; the first that matches applies", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open"], rules: [] });
  /** Which of three files' opens get through a set of filters. */
  const opened = async (...filters: FilterRule[]) => {
    const generation = watch.probe.setRules({ rules: [], filters });
    for (const path of ["/etc/hostname", "/etc/host", "/nonexistent/a"]) await actor.run("same", path, "1");
    watch.readAll();
    return watch.of("file_open").filter((event) => event.rulesGeneration === generation).map((event) => event.path);
  };
  const [hostname, host, missing] = ["/etc/hostname", "/etc/host", "/nonexistent/a"];
  assertEquals(await opened(), [hostname, host, missing]);
  assertEquals(await opened(filter("drop", { pathPrefix: "/etc/host" })), [missing]);
  assertEquals(await opened(filter("keep", { pathPrefix: "/etc/host" })), [hostname, host]);
  const exception = [filter("keep", { pathPrefix: "/etc/hostname" }), filter("drop", { pathPrefix: "/etc" })];
  assertEquals(await opened(...exception), [hostname]);
  assertEquals(await opened(...exception.toReversed()), []);
  assertEquals(await opened(filter("drop", { pathPrefix: "/etc/host", result: -2 })), [hostname, missing]);
  assertEquals(await opened(filter("keep", { event: "process_exec" })), []);
  assertEquals(await opened(filter("drop", { event: "process_exec" })), [hostname, host, missing]);
  assertEquals(await opened(filter("drop", { uid: 0, comm: ACTOR, result: -2 })), [hostname]);
  assertEquals(await opened(filter("drop", { comm: "somebody else" })), [hostname, host, missing]);
  watch.finish();
  assertAccounted(watch);
});

Deno.test("filters ask for pid and cgroup", async () => {
  await using actor = await Actor.build();
  const cgroupRoot = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(readKernelFile("/proc/self/mountinfo"))![1];
  const ownPath = /^0::(.*)$/m.exec(readKernelFile("/proc/self/cgroup"))![1];
  const own = ownPath === "/" ? cgroupRoot : cgroupRoot + ownPath;
  const [kept, dropped] = [actor.start("flood", "/kept", "3"), actor.start("flood", "/dropped", "3")];
  using watch = new Watch({ sources: ["file_open"], rules: [], filters: [filter("drop", { pid: dropped.pid })] });
  for (const { go, done } of [kept, dropped]) {
    await go();
    await done;
  }
  const paths = () => watch.of("file_open").map((event) => event.path);
  watch.readAll();
  assertEquals(paths(), ["/kept/0", "/kept/1", "/kept/2"]);

  watch.probe.setRules({ rules: [], filters: [filter("keep", { cgroup: own })] });
  await actor.run("same", "/in", "1");
  watch.probe.setRules({ rules: [], filters: [filter("drop", { cgroup: own })] });
  await actor.run("same", "/out", "1");
  watch.finish();
  assertEquals(paths(), ["/kept/0", "/kept/1", "/kept/2", "/in"]);
  assertAccounted(watch);
});

Deno.test("filters by net and port judge the address of a connect", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["network_connect"], rules: [] });
  const seen = async (filters: FilterRule[]) => {
    const generation = watch.probe.setRules({ rules: [], filters });
    await actor.run("connects", "9", "10");
    watch.readAll();
    const events = watch.of("network_connect").filter((event) => event.rulesGeneration === generation);
    return events.map((event) => event.family);
  };
  const [net4] = cidrs("127.0.0.0/8"), [net6] = cidrs("::1/128"), [all6] = cidrs("::/0"), [all4] = cidrs("0.0.0.0/0");
  assertEquals(await seen([filter("keep", { net: net4 })]), ["ipv4"]);
  assertEquals(await seen([filter("keep", { net: net6 })]), ["ipv6"]);
  // Neither family holds the other.
  assertEquals(await seen([filter("keep", { net: all6 })]), ["ipv6"]);
  assertEquals(await seen([filter("keep", { net: all4 })]), ["ipv4"]);
  assertEquals(await seen([filter("drop", { net: all4 }), filter("drop", { net: all6 })]), ["unix", "unix"]);
  assertEquals(await seen([filter("keep", { port: 10 })]), ["ipv6"]);
  assertEquals(await seen([filter("keep", { port: 10, net: net4 })]), []);
  assertEquals(await seen([filter("drop", { port: 9, net: net4 })]), ["ipv6", "unix", "unix"]);
  watch.finish();
  assertAccounted(watch);
});

Deno.test("watch lists raise connects to their nets and ports, the most severe list first, and lower none", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["network_connect"], rules: [] });
  const severities = async (set: Omit<RuleSet, "rules"> & { rules?: RuleSet["rules"] }) => {
    const generation = watch.probe.setRules({ rules: [], ...set });
    await actor.run("connects", "9", "10");
    watch.readAll();
    const events = watch.of("network_connect").filter((event) => event.rulesGeneration === generation);
    return events.map((event) => event.severity).slice(0, 3);
  };
  const list = (atLeast: WatchList["atLeast"], nets: string[], ports: number[] = []): WatchList => {
    return { name: atLeast, nets: cidrs(...nets), ports, atLeast };
  };
  assertEquals(await severities({}), ["info", "info", "info"]);
  assertEquals(await severities({ watch: [list("error", ["127.0.0.0/8"])] }), ["error", "info", "info"]);
  assertEquals(await severities({ watch: [list("error", ["::/0"])] }), ["info", "error", "info"]);
  assertEquals(await severities({ watch: [list("critical", [], [10])] }), ["info", "critical", "info"]);
  assertEquals(
    await severities({ watch: [list("warning", ["127.0.0.0/8"], [10]), list("critical", ["127.0.0.1/32"])] }),
    ["critical", "warning", "info"],
  );
  // A longer prefix of one list does not hide a shorter one of another.
  assertEquals(
    await severities({ watch: [list("critical", ["126.0.0.0/7"]), list("warning", ["127.0.0.0/24"])] }),
    ["critical", "info", "info"],
  );
  assertEquals(await severities({ watch: [list("debug", ["127.0.0.0/8"])] }), ["info", "info", "info"]);
  const rules: RuleSet["rules"] = [{ name: "quiet", match: { event: "network_connect" }, action: { set: "debug" } }];
  assertEquals(await severities({ rules, watch: [list("warning", [], [9])] }), ["warning", "debug", "debug"]);
  watch.finish();
  assertAccounted(watch);
});

Deno.test("watch lists raise TCP states by either end", async () => {
  await using actor = await Actor.build();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using watch = new Watch({
    sources: ["tcp_state"],
    rules: [],
    watch: [{ name: "port", nets: [], ports: [listener.addr.port], atLeast: "warning" }],
  });
  await actor.run("connects", String(listener.addr.port), "9");
  const connection = await listener.accept();
  connection.close();
  watch.readAll();
  const states = watch.of("tcp_state").filter((event) => event.dport === listener.addr.port);
  assertGreater(states.length, 1);
  assert(states.every((event) => event.severity === "warning"));

  const generation = watch.probe.setRules({
    rules: [],
    watch: [{ name: "net", nets: cidrs("127.0.0.0/8"), ports: [], atLeast: "error" }],
  });
  await actor.run("connects", String(listener.addr.port), "9");
  (await listener.accept()).close();
  listener.close();
  watch.finish();
  const judged = watch.of("tcp_state").filter((event) => event.rulesGeneration === generation);
  const [v4, v6] = ["ipv4", "ipv6"].map((family) => judged.filter((event) => event.family === family));
  assertGreater(v4.length, 1);
  assert(v4.every((event) => event.severity === "error"));
  assert(v6.every((event) => event.severity === "debug"));
  assertAccounted(watch);
});

/** Opens below a folder named after a severity have that severity. */
const BY_FOLDER: RuleSet["rules"] = SEVERITIES.map((severity) => ({
  name: severity,
  match: { event: "file_open", pathPrefix: `/nonexistent/${severity}/` },
  action: { set: severity },
}));
/** No more than half full when all events of a round wait in them, so that nothing is dropped or sampled. */
const ROOMY_RINGS = { critical: 16 << 20, normal: 16 << 20, debug: 16 << 20 };

/** Starts one actor a severity, each of which opens so many files below its folder, from `/nonexistent/SEVERITY/ROUND/0` on. */
function floodAll(actor: Actor, round: number, opens: number): { go(): Promise<unknown>; done: Promise<unknown> } {
  const floods = SEVERITIES.map((severity) => actor.start("flood", `/nonexistent/${severity}/${round}`, String(opens)));
  return { go: () => Promise.all(floods.map(({ go }) => go())), done: Promise.all(floods.map(({ done }) => done)) };
}

/**
 * To be called when the watch is finished: of the generator's `opened` files those without a record were filtered, and so
 * was whatever else was seen, which is everybody else's.
 */
function assertFiltered(watch: Watch, opened: number, records: number): void {
  const { seen, filtered, submitted, dropped, sampledOut } = watch.probe.counters();
  const others = Number(seen) - opened;
  assert(others >= 0, `${-others} opens were not seen`);
  assertEquals([Number(sumOf(submitted)), Number(filtered)], [records, opened - records + others]);
  assertEquals([sumOf(dropped), sampledOut], [0n, 0n]);
}

function isWanted(severity: Severity, minimum: Severity): boolean {
  return SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(minimum);
}

Deno.test("what is less severe than a set's minimum is filtered, and nothing else is", async () => {
  await using actor = await Actor.build();
  const opens = 500;
  using watch = new Watch({ sources: ["file_open"], rules: BY_FOLDER, ringBytes: ROOMY_RINGS });
  const minimums = [undefined, ...SEVERITIES.toReversed(), ...SEVERITIES];
  let records = 0;
  for (const [round, minimum] of minimums.entries()) {
    const before = watch.probe.counters().filtered;
    const generation = watch.probe.setRules({ rules: BY_FOLDER, minimumSeverity: minimum });
    const { go, done } = floodAll(actor, round, opens);
    await go();
    await done;
    watch.readAll();
    const judged = watch.of("file_open").filter(({ rulesGeneration }) => rulesGeneration === generation);
    const wanted = SEVERITIES.filter((severity) => isWanted(severity, minimum ?? "debug"));
    for (const severity of SEVERITIES) {
      const paths = judged.filter((event) => event.severity === severity).map(({ path }) => path);
      const expected = Array.from({ length: opens }, (_, i) => `/nonexistent/${severity}/${round}/${i}`);
      assertEquals(paths, wanted.includes(severity) ? expected : [], `${severity} with ${minimum}`);
    }
    records += wanted.length * opens;
    // At least: others open files too.
    const filtered = Number(watch.probe.counters().filtered - before);
    assert(filtered >= (SEVERITIES.length - wanted.length) * opens, `${filtered} with ${minimum}`);
  }
  watch.finish();
  assertFiltered(watch, minimums.length * SEVERITIES.length * opens, records);
  assertAccounted(watch);
});

Deno.test("a set's minimum severity asks how severe rules and watch lists have left an event", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["network_connect"], rules: [] });
  const families = async (set: RuleSet) => {
    const generation = watch.probe.setRules(set);
    await actor.run("connects", "9", "10");
    watch.readAll();
    return watch.of("network_connect").filter((event) => event.rulesGeneration === generation)
      .map(({ family, severity }) => `${family} ${severity}`);
  };
  const raised: WatchList[] = [{ name: "raised", nets: cidrs("127.0.0.0/8"), ports: [], atLeast: "error" }];
  const lowered: RuleSet["rules"] = [{ name: "lowered", match: { port: 10 }, action: { set: "debug" } }];
  assertEquals(await families({ rules: [], minimumSeverity: "warning" }), []);
  assertEquals(await families({ rules: [], watch: raised, minimumSeverity: "warning" }), ["ipv4 error"]);
  const unix = "unix info";
  assertEquals(await families({ rules: lowered, minimumSeverity: "info" }), ["ipv4 info", unix, unix]);
  assertEquals(
    await families({ rules: [], filters: [filter("drop", { net: raised[0].nets[0] })], minimumSeverity: "info" }),
    ["ipv6 info", unix, unix],
  );
  watch.finish();
  assertAccounted(watch);
});

Deno.test("a minimum severity that changes under a flood judges each event by one generation, and all are counted", async () => {
  await using actor = await Actor.build();
  const [opens, roundsMax, generationsWanted] = [20_000, 50, 12];
  using watch = new Watch({ sources: ["file_open"], rules: BY_FOLDER, ringBytes: ROOMY_RINGS });
  const minimumOf = new Map<number, Severity>([[1, "debug"]]);
  /** The generations between which each round's events were judged. */
  const rounds: [first: number, last: number][] = [];
  const seen = new Set<number>();
  while (seen.size < generationsWanted && rounds.length < roundsMax) {
    const { go, done } = floodAll(actor, rounds.length, opens);
    const first = minimumOf.size;
    let flooding = true;
    const ended = done.finally(() => flooding = false);
    await go();
    while (flooding) {
      const minimumSeverity = SEVERITIES[minimumOf.size * 3 % SEVERITIES.length];
      minimumOf.set(watch.probe.setRules({ rules: BY_FOLDER, minimumSeverity }), minimumSeverity);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await ended;
    rounds.push([first, minimumOf.size]);
    watch.readAll();
    for (const { rulesGeneration } of watch.of("file_open")) seen.add(rulesGeneration);
  }
  watch.finish();
  assertGreater(seen.size, generationsWanted - 1, `in ${rounds.length} rounds`);

  const judged = watch.of("file_open");
  const floods = Map.groupBy(judged, ({ path }) => path.slice(0, path.lastIndexOf("/")));
  for (const severity of SEVERITIES) {
    for (const [round, [first, last]] of rounds.entries()) {
      const folder = `/nonexistent/${severity}/${round}`;
      const records = (floods.get(folder) ?? []).map(({ path, severity, rulesGeneration }) => {
        return { number: Number(path.slice(folder.length + 1)), severity, by: rulesGeneration };
      }).sort((a, b) => a.number - b.number);
      let [next, generation] = [0, first];
      const step = (number: number, by: number) => {
        assert(by >= generation, `${folder}/${number} was judged by ${by}, one before it by ${generation}`);
        // What is missing was judged by a generation that does not want it.
        const unwanted = [...minimumOf].some(([it, minimum]) =>
          it >= generation && it <= by && !isWanted(severity, minimum)
        );
        assert(number === next || unwanted, `${folder}/${next} to ${number}, generations ${generation} to ${by}`);
        [next, generation] = [number + 1, by];
      };
      for (const { number, by, ...judged } of records) {
        assertEquals([judged.severity, isWanted(severity, minimumOf.get(by)!)], [severity, true], `${number} by ${by}`);
        step(number, by);
      }
      step(opens, last);
    }
  }
  assertFiltered(watch, rounds.length * opens * SEVERITIES.length, judged.length);
  assertEquals(judged.filter(({ severity }) => severity === "critical").length, rounds.length * opens);
  assertLess(judged.length, rounds.length * opens * SEVERITIES.length);
  assertAccounted(watch);
});

Deno.test("a rule set may change the rate limit, and one that names none has that of the start", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["file_open"], rules: [], rateLimit: 0 });
  const limited = async () => {
    const before = watch.probe.counters().rateLimited;
    await actor.run("same", "/nonexistent", "20000");
    watch.readAll();
    return Number(watch.probe.counters().rateLimited - before);
  };
  assertEquals(await limited(), 0);
  watch.probe.setRules({ rules: [], rateLimit: 1_000 });
  assertGreater(await limited(), 15_000);
  watch.probe.setRules({ rules: [] });
  assertEquals(await limited(), 0);
  watch.finish();
  assertAccounted(watch);
});

Deno.test("a rule set may have debug events sampled, each of which stands for the others", async () => {
  await using actor = await Actor.build();
  const opens = 20_000;
  using watch = new Watch({
    sources: ["file_open"],
    rules: [],
    debugOneIn: 20,
    ringBytes: { critical: 4096, normal: 4096, debug: 16 << 20 },
  });
  await actor.run("same", "/nonexistent", String(opens));
  watch.finish();
  const events = watch.of("file_open");
  assert(events.every((event) => event.weight === 20));
  assertLess(Math.abs(events.length * 20 - opens), opens / 3);
  assertEquals(watch.probe.counters().sampledOut, BigInt(opens - events.length));
  assertAccounted(watch);
});

Deno.test("a rule set that cannot be used changes nothing and says why", async () => {
  await using actor = await Actor.build();
  const rule = (pathPrefix: string): RuleSet["rules"][number] => {
    return { name: "r", match: { pathPrefix }, action: { set: "error" } };
  };
  using watch = new Watch({ sources: ["file_open"], rules: [rule("/good")] });
  const refused: [RuleSet, typeof RangeError | typeof SystemError, string][] = [
    [{ rules: new Array(65).fill(rule("/a")) }, RangeError, "65 severity rules: at most 64"],
    [{ rules: [], filters: new Array(65).fill(filter("drop", { uid: 1 })) }, RangeError, "65 filters: at most 64"],
    [{ rules: [rule(`/${"x".repeat(128)}`)] }, RangeError, "longer than 128 bytes"],
    [{ rules: [], filters: [filter("drop", { comm: "1234567890123456" })] }, RangeError, "longer than 15 bytes"],
    [{ rules: [], filters: [filter("drop", { cgroup: "/nonexistent" })] }, SystemError, "ENOENT"],
    [
      {
        rules: [],
        watch: [{ name: "w", nets: [], ports: Array.from({ length: 5_000 }, (_, i) => i + 1), atLeast: "info" }],
      },
      RangeError,
      "Cannot put 5000 entries into",
    ],
  ];
  for (const [set, errorClass, message] of refused) {
    assertThrows(() => watch.probe.setRules(set), errorClass as typeof Error, message);
  }
  await actor.run("same", "/good", "1");
  assertEquals(watch.probe.setRules({ rules: [rule("/better")] }), 2);
  await actor.run("same", "/good", "1");
  await actor.run("same", "/better", "1");
  watch.finish();
  const judged = watch.of("file_open").map((event) => [event.path, event.severity, event.rulesGeneration]);
  assertEquals(judged, [["/good", "error", 1], ["/good", "debug", 2], ["/better", "error", 2]]);
});

Deno.test("thousands of watched nets are put in force at once", async () => {
  await using actor = await Actor.build();
  using watch = new Watch({ sources: ["network_connect"], rules: [] });
  const nets = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8 & 255}.${i & 255}.0/24`);
  const generation = watch.probe.setRules({
    rules: [],
    watch: [{ name: "many", nets: cidrs(...nets, "127.0.0.1/32"), ports: [], atLeast: "critical" }],
  });
  await actor.run("connects", "9", "10");
  watch.finish();
  const judged = watch.of("network_connect").filter((event) => event.rulesGeneration === generation);
  assertEquals(judged.map((event) => event.severity), ["critical", "info", "info", "info"]);
});
