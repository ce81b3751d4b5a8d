/**
 * The aggregator worker: owns libbpf and what watches flows and process activity, ends their windows when they are due
 * and posts what was in them. The protocol is in aggregator_messages.ts.
 */
/// <reference lib="deno.worker" />
import { requireCapabilities } from "../ffi/capabilities.ts";
import { resolveInterfaces } from "./flows/flow_attachments.ts";
import { monotonicNs } from "../ffi/libc.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { WorkerMain } from "../runtime/worker_main.ts";
import { type ActivityWatch, tryActivity } from "./activity/activity_watch.ts";
import { FlowWatch } from "./flows/flow_watch.ts";
import { OwnerWatch } from "./owners/owner_watch.ts";
import { hostProcessDetails } from "../processes/host_details.ts";
import { RetransmitWatch } from "./retransmits/retransmit_watch.ts";
import type { AggregatorOptions, AggregatorReport, AggregatorRequest } from "./aggregator_messages.ts";
import { WindowController } from "./windows/window_controller.ts";

function report(message: AggregatorReport, transfer: Transferable[] = []): void {
  self.postMessage(message, transfer);
}

const NS_PER_MS = 1_000_000n;

const main = new WorkerMain<AggregatorRequest, Run>();

/** What a run watches. */
interface Watched {
  /** null: no interface was named. */
  flows: FlowWatch | null;
  /** null: not asked for, or the kernel lacks what it takes. */
  activity: ActivityWatch | null;
  owners: OwnerWatch | null;
  retransmits: RetransmitWatch | null;
}

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  #windowNs: bigint;
  /** null: windows are as long as they were asked to be. */
  readonly #controller: WindowController | null;
  readonly #owned: DisposableStack;
  readonly #watched: Watched;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the current window is due; windows stay on this grid even when a drain takes long. */
  #dueNs: bigint;

  /** @param held what is attached, and what to dispose of in the end */
  private constructor(options: AggregatorOptions, held: { owned: DisposableStack; watched: Watched; startNs: bigint }) {
    this.#controller = options.windowAuto === true ? new WindowController() : null;
    this.#windowNs = BigInt(this.#controller?.windowMs ?? options.windowMs) * NS_PER_MS;
    this.#owned = held.owned;
    this.#watched = held.watched;
    this.#dueNs = held.startNs + this.#windowNs;
  }

  static async start(options: AggregatorOptions): Promise<Run> {
    using stack = new DisposableStack();
    const interfaces = resolveInterfaces(options.interfaces);
    requireCapabilities(`watch ${interfaces.length > 0 ? options.interfaces.join(", ") : "process activity"}`);
    const libbpf = stack.use(openLibbpf({ path: options.libbpfPath, embeddedDir: `${options.assetsDir}/lib` }));
    const notices: string[] = [];
    const notice = (text: string) => notices.push(text);
    const details = hostProcessDetails();
    const watchesFlows = interfaces.length > 0;
    const wantsOwners = watchesFlows && options.owners === true;
    const owners = wantsOwners ? await OwnerWatch.tryStart(libbpf, { options, details, notice }) : null;
    if (owners !== null) stack.use(owners);
    const wantsRetransmits = watchesFlows && options.retransmits === true;
    const retransmits = wantsRetransmits ? RetransmitWatch.tryStart(libbpf, { options, notice }) : null;
    if (retransmits !== null) stack.use(retransmits);
    const beside = { options, owners, retransmits };
    const flows = watchesFlows ? stack.use(await FlowWatch.open(libbpf, interfaces, beside)) : null;
    const activity = tryActivity(libbpf, { options, details, notice, needed: !watchesFlows });
    if (activity !== null) stack.use(activity);

    const startNs = monotonicNs();
    const attached = flows?.attach();
    activity?.attach();
    report({
      kind: "ready",
      interfaces: attached?.interfaces ?? [],
      activity: activity !== null,
      startNs,
      notices: [...notices, ...attached?.notices ?? []],
      libbpf: { version: libbpf.version, source: libbpf.source },
    });
    await flows?.prepare();
    const watched = { flows, activity, owners, retransmits };
    const run = new Run(options, { owned: stack.move(), watched, startNs });
    run.#schedule();
    return run;
  }

  #schedule(): void {
    const now = monotonicNs();
    while (this.#dueNs <= now) this.#dueNs += this.#windowNs;
    this.#timer = setTimeout(() => main.guarded(() => this.#tick()), Number((this.#dueNs - now) / NS_PER_MS) + 1);
  }

  #tick(): void {
    // A timer may fire early by a fraction of a millisecond.
    if (monotonicNs() >= this.#dueNs) {
      this.#endWindow();
      const { gone, remaining } = this.#watched.flows?.takeGone() ?? { gone: [], remaining: 0 };
      for (const { name, exists } of gone) report({ kind: "interface_gone", iface: name, exists, remaining });
      for (const notice of this.#watched.flows?.takeNotices() ?? []) report({ kind: "notice", ...notice });
    }
    this.#schedule();
  }

  #endWindow(): void {
    const { flows, activity } = this.#watched;
    const finished = flows?.endWindow();
    if (finished !== undefined) {
      const { window, flowRecords, load } = finished;
      if (flowRecords !== null) report({ kind: "flow_records", messages: flowRecords }, [flowRecords]);
      report({ kind: "window", window });
      for (const notice of flows!.takeNotices()) report({ kind: "notice", ...notice });
      if (this.#controller !== null) this.#windowNs = BigInt(this.#controller.observe(load)) * NS_PER_MS;
    }
    if (activity !== null) report({ kind: "activity", window: activity.endWindow() });
  }

  /** From the next window on. */
  arrange(arrangement: Extract<AggregatorRequest, { kind: "arrange" }>["arrangement"]): void {
    this.#watched.activity?.arrange(arrangement);
  }

  /** Detaches, then drains what was counted until then: the last window, shorter than the others. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    const { flows, activity, owners, retransmits } = this.#watched;
    flows?.detach();
    retransmits?.detach();
    activity?.detach();
    owners?.detach();
    this.#endWindow();
    await flows?.settle();
    await activity?.settle();
    await owners?.settle();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#owned[Symbol.dispose]();
  }
}

main.serve(async (request) => {
  switch (request.kind) {
    case "start":
      main.run = await Run.start(request.options);
      return;
    case "arrange":
      main.run?.arrange(request.arrangement);
      return;
    case "stop":
      await main.run?.stop();
      main.end();
      report({ kind: "stopped" });
      return;
    default:
      request satisfies never;
  }
});
