/** `ebpfmon serve`: the fleet's receiving side, until told to stop. */
import { Correlator } from "../fleet/correlation/correlator.ts";
import { openOtlpHttp, type OtlpHttp } from "../fleet/traces/otlp_http.ts";
import { OtlpExporter } from "../fleet/traces/otlp_exporter.ts";
import { otlpSettings } from "../fleet/traces/otlp_settings.ts";
import { alertObject, head, jsonLine } from "../export/json_lines.ts";
import { formatServerAddress } from "../fleet/server_address.ts";
import type { FleetFilter } from "../fleet/fleet_filter.ts";
import { createFleetApp } from "../http/fleet_app.ts";
import { isLoopback } from "../http/guard.ts";
import { formatListen } from "../net/listen_address.ts";
import { serve as serveHttp } from "../http/serve.ts";
import { parseAgentFilter } from "../fleet/server/agent_filter.ts";
import { FleetServer } from "../fleet/server/grpc_service.ts";
import { GroupRecorder } from "../fleet/server/group_recorder.ts";
import type { FleetStore } from "../fleet/server/fleet_store.ts";
import { LocalFleet, storeLedger } from "../fleet/server/local_fleet.ts";
import { type NatsCounts, renderServerMetrics } from "../fleet/server/metrics.ts";
import { NatsFleet } from "../fleet/server/nats/fleet.ts";
import { FleetStoreHandle } from "../fleet/server/store_handle.ts";
import { TraceOutbox } from "../fleet/server/trace_outbox.ts";
import { buildInfo } from "./build_info.ts";
import { print, unixNs, warn } from "./console.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import type { ServeOptions } from "./fleet_args.ts";
import { onHangup } from "./hangup.ts";
import { processUsage, startedUnixSeconds } from "./process_usage.ts";

const DRAIN_MS = 10_000;
const TRACES_GRACE_MS = 5000;

/** How this server works with others, or by itself. */
interface Fleet {
  /** null: no agents are received. */
  readonly store: FleetStore | null;
  readonly lagBatches: number;
  /** Longest batch; null for the usual. */
  readonly messageBytesMax: number | null;
  readonly nats: NatsCounts | null;
  /** null when all is well. */
  unready(): string | null;
  /** Correlates, and whatever else goes on, until `signal`; what was begun is finished. */
  run(signal: AbortSignal): Promise<void>;
}

interface Traces extends AsyncDisposable {
  exporter: OtlpExporter;
}

/** null where the environment names no receiver. */
async function openTraces(
  { notice, onSettled }: { notice: (text: string) => void; onSettled: (groups: string[]) => void },
): Promise<Traces | null> {
  const settings = otlpSettings(Deno.env.toObject());
  if (settings === null) return null;
  const http: OtlpHttp = await openOtlpHttp(settings);
  const exporter = new OtlpExporter({
    settings,
    fetch: (url, init) => http.fetch(url, init),
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    onFailure: (reason, spans) => notice(`${spans} spans did not reach the receiver of traces: ${reason}`),
    onSettled,
  });
  return {
    exporter,
    async [Symbol.asyncDispose]() {
      await exporter.close(TRACES_GRACE_MS);
      http[Symbol.dispose]();
    },
  };
}

/** Each time it is read it counts as newer than what agents have. */
function stamped(filter: Omit<FleetFilter, "generation">): FleetFilter {
  return { ...filter, generation: Date.now() };
}

function localFleet(
  { store, correlator, recorder }: { store: FleetStoreHandle; correlator: Correlator; recorder: GroupRecorder },
  notice: (text: string) => void,
): Fleet {
  const fleet = new LocalFleet({ store, correlator, recorder }, notice);
  return {
    store: fleet,
    get lagBatches() {
      return fleet.lagBatches;
    },
    nats: null,
    messageBytesMax: null,
    unready: () => null,
    run: (signal) => fleet.follow(signal),
  };
}

export async function serve(options: ServeOptions, host: string, stop: AbortController): Promise<ExitCode> {
  const notice = (text: string) => {
    if (options.json) print(jsonLine(alertObject({ unixNs: unixNs(), host }, "notice", text)));
    else if (!options.quiet) warn(text);
  };
  await using stack = new AsyncDisposableStack();
  const store = options.store && stack.use(await FleetStoreHandle.open(options.store));
  // With NATS nothing is put there: each group's trace comes from whoever recorded it.
  const outbox = store && stack.use(new TraceOutbox(store, notice));
  const traces = await openTraces({ notice, onSettled: (groups) => outbox?.settle(groups) });
  if (traces !== null) stack.use(traces);
  // What waits for a receiver that nobody names any more is not to come all at once when somebody does.
  if (traces === null) await store?.call("forgetUntraced", {});
  const nats = options.nats && stack.use(await NatsFleet.connect(options.nats, { store, notice }));
  const ledger = nats?.ledger ?? storeLedger(store!, { withTraces: traces !== null });
  const recorder = new GroupRecorder(ledger, traces?.exporter ?? null, notice);
  const correlator = options.correlation && stack.use(
    new Correlator(options.correlation, { groups: (partition, groups) => recorder.add(partition, groups), notice }),
  );
  if (nats !== null && correlator !== null) nats.correlateWith(correlator, recorder);
  const fleet: Fleet = nats ?? localFleet({ store: store!, correlator: correlator!, recorder }, notice);
  // The receiving side goes first: what it has taken is then still stored and correlated.
  const running = new AbortController();
  const run = fleet.run(running.signal);
  run.catch(() => {});
  const resending = traces && outbox?.resend(traces.exporter, running.signal);
  const { grpc, agentFilter } = options;
  let server: FleetServer | null = null;
  let http: Deno.HttpServer<Deno.NetAddr> | null = null;
  try {
    server = grpc && fleet.store && await FleetServer.listen({
      listen: grpc.listen,
      store: fleet.store,
      tls: grpc.tls,
      insecure: grpc.insecure,
      ...grpc.tokensFile !== null && { tokensFile: grpc.tokensFile },
      agentFromCertificate: grpc.agentFromCertificate,
      limits: {
        eventsPerSecond: grpc.eventsPerSecond,
        ...fleet.messageBytesMax !== null && { messageBytesMax: fleet.messageBytesMax },
      },
      ...agentFilter !== null && { filter: stamped(agentFilter.filter) },
      onNotice: notice,
    });
    const received = server;
    using _hangup = agentFilter === null || received === null ? null : onHangup(() => {
      try {
        received.setFilter(stamped(parseAgentFilter(Deno.readTextFileSync(agentFilter.file), agentFilter.file)));
        notice(`the filter of ${agentFilter.file} goes to all agents`);
      } catch (error) {
        notice(`the filter stays as it was: ${(error as Error).message}`);
      }
    });
    const metrics = async () =>
      renderServerMetrics({
        build: { version: buildInfo().version },
        process: { ...processUsage(), startTimeSeconds: startedUnixSeconds() },
        server: received?.stats ?? null,
        store: store && await store.call("counts", {}),
        correlation: correlator && {
          partitions: correlator.partitions,
          unknown: correlator.unknown,
          lagBatches: fleet.lagBatches,
          groups: recorder.counts,
        },
        traces: traces?.exporter.counts ?? null,
        nats: fleet.nats,
      });
    const app = options.listen && createFleetApp(
      {
        unready: () => stop.signal.aborted ? "stopping" : fleet.unready(),
        metrics,
        live: () => received?.stats.agents ?? [],
        store: store && {
          agents: () => store.call("agents", {}),
          groups: (query) => store.call("groups", { query }),
          topFlows: (query) => store.call("topFlows", { query }),
          alerts: (limit) => store.call("alerts", { limit }),
        },
      },
      { loopback: isLoopback(options.listen.hostname) },
    );
    http = options.listen && app && serveHttp(options.listen, app.fetch);
    const addresses = {
      grpc: received && grpc ? formatServerAddress({ host: grpc.listen.host, port: received.port }) : null,
      http: http && formatListen(http.addr),
    };
    if (options.json) {
      const ready = head("ready", { unixNs: unixNs(), host });
      print(jsonLine({ ...ready, listen: addresses.http, listen_grpc: addresses.grpc }));
    } else if (!options.quiet) {
      const shown = [addresses.grpc && `agents at ${addresses.grpc}`, addresses.http && `http://${addresses.http}/`];
      warn(`serving ${shown.filter(Boolean).join(", ")}`);
    }
    const ends = [stopped(stop.signal, options.durationSeconds), run, store?.ended, correlator?.ended];
    await Promise.race(ends.filter((end) => end !== undefined));
    await server?.drain(DRAIN_MS);
    running.abort();
    // A store that takes nothing keeps groups waiting, and the last checkpoint waits for them.
    const giveUp = setTimeout(() => recorder.stop(), DRAIN_MS);
    try {
      await run;
      await recorder.settled();
    } finally {
      clearTimeout(giveUp);
    }
    if (options.json) printSummary(host, received, recorder);
    return EXIT.done;
  } finally {
    running.abort();
    recorder.stop();
    await server?.[Symbol.asyncDispose]();
    await http?.shutdown();
    await run.catch(() => {});
    await resending;
  }
}

function printSummary(host: string, server: FleetServer | null, recorder: GroupRecorder): void {
  const agents = server?.stats.agents ?? [];
  const sum = (count: "batches" | "events" | "duplicates") => agents.reduce((sum, agent) => sum + agent[count], 0);
  print(jsonLine({
    ...head("summary", { unixNs: unixNs(), host }),
    agents: agents.length,
    batches: sum("batches"),
    events: sum("events"),
    duplicates: sum("duplicates"),
    groups: recorder.counts.recorded,
  }));
}

/** Resolves on `signal`, or after the duration. */
function stopped(signal: AbortSignal, durationSeconds: number | null): Promise<void> {
  return new Promise((resolve) => {
    const timer = durationSeconds === null ? undefined : setTimeout(resolve, durationSeconds * 1000);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
