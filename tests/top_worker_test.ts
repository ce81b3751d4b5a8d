/** The aggregator worker on process activity alone: how its map grows, how its rows are arranged, what it can lack. */
import { assert, assertEquals, assertGreater, assertRejects } from "./assert.ts";
import { Aggregator } from "../lib/aggregate/aggregator.ts";
import type { ActivityOptions } from "../lib/aggregate/activity/activity_options.ts";
import type { ProcessWindow } from "../lib/aggregate/activity/process_window.ts";
import { DEFAULT_ARRANGEMENT } from "../lib/aggregate/activity/process_reducer.ts";
import { noCalls, processBalance } from "../lib/aggregate/activity/activity_sums.ts";
import type { AggregatorOptions } from "../lib/aggregate/aggregator_messages.ts";
import { WorkerError } from "../lib/runtime/worker_handle.ts";
import { ASSETS_DIR, assetsWithout } from "./support/bpf.ts";
import { Monitor } from "./support/monitor.ts";
import { TestNet } from "./support/namespaces.ts";
import { SyscallActor } from "./support/processes.ts";

const ACTIVITY: ActivityOptions = {
  ...DEFAULT_ARRANGEMENT,
  entriesMax: 8_192,
  entriesMaxLimit: 8_192,
  sampling: 1,
  topMax: 1_000,
  totalsMax: 0,
};

function optionsOf(activity: Partial<ActivityOptions> = {}, assetsDir = ASSETS_DIR): AggregatorOptions {
  return {
    interfaces: [],
    direction: "both",
    ingressMode: "auto",
    egressHook: "tcx",
    force: false,
    windowMs: 100,
    flowsMax: 1,
    values: "atomic",
    topMax: 1,
    filter: "",
    assetsDir,
    activity: { ...ACTIVITY, ...activity },
  };
}

/** A worker, and its windows one after another; each must balance and follow the one before. */
class ActivityRun implements AsyncDisposable {
  readonly aggregator: Aggregator;
  readonly #reports: ReturnType<Aggregator["reports"]>;
  #last: ProcessWindow | undefined;

  constructor(options: AggregatorOptions) {
    this.aggregator = new Aggregator(options);
    this.#reports = this.aggregator.reports();
  }

  async ready(): Promise<void> {
    const { value } = await this.#reports.next();
    assertEquals([value?.kind, value?.kind === "ready" && value.activity], ["ready", true]);
  }

  async nextWindow(): Promise<ProcessWindow> {
    for (;;) {
      const { value: report } = await this.#reports.next();
      if (report?.kind !== "activity") throw new Error(`Cannot go on: the aggregator says ${report?.kind}`);
      const { window } = report;
      assertEquals(processBalance(window), noCalls());
      if (this.#last !== undefined) assertEquals(window.startNs, this.#last.endNs);
      this.#last = window;
      return window;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.aggregator.stop();
    for await (const _ of this.#reports);
    this.aggregator[Symbol.dispose]();
  }
}

Deno.test("a map that was too small is doubled as long as it overflows, up to its limit", async () => {
  await using actor = await SyscallActor.build();
  await using run = new ActivityRun(optionsOf({ entriesMax: 8, entriesMaxLimit: 100 }));
  await run.ready();
  let running = true;
  const done = (async () => {
    while (running) await actor.run("forks", "50", actor.oneCallPath);
  })();
  const capacities: number[] = [];
  let overflow = 0;
  for (let i = 0; i < 60 && capacities.at(-1) !== 100; i++) {
    const window = await run.nextWindow();
    overflow += window.overflow.calls;
    if (window.capacity !== capacities.at(-1)) capacities.push(window.capacity);
  }
  running = false;
  await done;
  assertGreater(overflow, 0);
  // The sides take turns, so that a size may be passed over and none is gone back to for long.
  assertEquals([capacities[0], capacities.at(-1)], [8, 100]);
  assert(capacities.every((capacity) => [8, 16, 32, 64, 100].includes(capacity)), `${capacities}`);
});

Deno.test("rows are arranged anew from the next window on", async () => {
  await using actor = await SyscallActor.build();
  await using run = new ActivityRun(optionsOf());
  await run.ready();
  assertEquals((await run.nextWindow()).arrangement.by, "process");
  const arrangement = { ...DEFAULT_ARRANGEMENT, by: "user", comm: actor.comm } as const;
  run.aggregator.arrange(arrangement);
  let window = await run.nextWindow();
  while (window.arrangement.by !== "user") window = await run.nextWindow();
  assertEquals(window.arrangement, arrangement);
  const { pid } = await actor.run("calls", "2000");
  while (window.groups.length === 0) window = await run.nextWindow();
  const [group] = window.groups;
  assertEquals([window.groups.length, group.label, group.processes, group.top[0].pid], [1, "root", 1, pid]);
});

Deno.test("sums since the start are kept of the processes with the most calls", async () => {
  await using actor = await SyscallActor.build();
  await using run = new ActivityRun(optionsOf({ totalsMax: 1_000 }));
  await run.ready();
  const { pid } = await actor.run("threads", "2", "400000");
  await run.nextWindow();
  for (;;) {
    const { totals } = await run.nextWindow();
    const total = totals.find((total) => total.pid === pid);
    // All of it, in however many windows that was.
    if (total !== undefined && total.calls > 800_000n) {
      assertEquals(total.comm, actor.comm);
      break;
    }
  }
});

Deno.test("without what owners and activity take, flows are counted and a notice says what is missing", async () => {
  const assetsDir = await assetsWithout("process.bpf.o", "socket_owner.bpf.o");
  try {
    await using net = await TestNet.create();
    const monitor = await Monitor.start(net, { assetsDir, owners: true, activity: ACTIVITY });
    const windows = await monitor.stop();
    assertEquals(monitor.ready.activity, false);
    assertEquals(monitor.ready.notices.map((notice) => notice.split(":")[0]), [
      "flows have no owners",
      "system calls are not counted",
    ]);
    assertEquals(windows.every(({ attribution }) => attribution === undefined), true);
    // Where nothing else is counted it is an error.
    await using run = new ActivityRun(optionsOf({}, assetsDir));
    await assertRejects(() => run.ready(), WorkerError, "process.bpf.o");
  } finally {
    await Deno.remove(assetsDir, { recursive: true });
  }
});
