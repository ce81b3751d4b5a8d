/** `ebpfmon serve`: the fleet's receiving side, until told to stop. */
import { Correlator } from "../../fleet/correlation/correlator.ts";
import { openOtlpHttp, type OtlpHttp } from "../../fleet/traces/otlp_http.ts";
import { OtlpExporter } from "../../fleet/traces/otlp_exporter.ts";
import { otlpSettings } from "../../fleet/traces/otlp_settings.ts";
import { alertObject, head, jsonLine } from "../../export/json_lines.ts";
import { formatServerAddress } from "../../fleet/server_address.ts";
import type { FleetFilter } from "../../fleet/fleet_filter.ts";
import { createFleetApp } from "../../http/fleet_app.ts";
import { isLoopback } from "../../http/guard.ts";
import { formatListen } from "../../net/listen_address.ts";
import { serve as serveHttp } from "../../http/serve.ts";
import { parseAgentFilter } from "../../fleet/server/agent_filter.ts";
import { FleetServer } from "../../fleet/server/grpc_service.ts";
import { GroupRecorder } from "../../fleet/server/group_recorder.ts";
import type { FleetStore } from "../../fleet/server/fleet_store.ts";
import { LocalFleet, storeLedger } from "../../fleet/server/local_fleet.ts";
import { type NatsCounts, renderServerMetrics } from "../../fleet/server/metrics.ts";
import { NatsFleet } from "../../fleet/server/nats/fleet.ts";
import { FleetStoreHandle } from "../../fleet/server/store_handle.ts";
import { TraceOutbox } from "../../fleet/server/trace_outbox.ts";
import { buildInfo } from "../build_info.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { onHangup } from "../hangup.ts";
import { processUsage, startedUnixSeconds } from "../process_usage.ts";
import { durationMs, StopOn } from "../stop_on.ts";
import type { ServeOptions } from "./serve.ts";

/** How long the end of a run waits for agents, and for groups that a store does not take. */
const DRAIN_MS = 10_000;
/** How long the end of a run waits for the receiver of traces. */
const TRACES_GRACE_MS = 5000;

/** What stores and correlates batches: this server alone, or several over NATS. */
interface Fleet {
  /** null: no agents are received. */
  readonly store: FleetStore | null;
  readonly lagBatches: number;
  /** Size of the longest batch in bytes; null for the default. */
  readonly messageBytesMax: number | null;
  readonly nats: NatsCounts | null;
  /** Says what is missing before the server is ready; null when nothing is. */
  unready(): string | null;
  /** Stores and correlates until `signal`, and then finishes what was begun. */
  run(signal: AbortSignal): Promise<void>;
}

interface Traces extends AsyncDisposable {
  exporter: OtlpExporter;
}

/** Opens the exporter of traces; null where the environment names no receiver. */
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

/** Gives a filter a new generation, so that agents take it for newer than the one that they have. */
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

type Notice = (text: string) => void;

/** What a server consists of besides the ways in. */
interface Parts {
  /** null: nothing is stored here. */
  store: FleetStoreHandle | null;
  /** null: no traces are sent. */
  traces: Traces | null;
  /** null: nothing is correlated here. */
  correlator: Correlator | null;
  recorder: GroupRecorder;
  fleet: Fleet;
  /** Sends again what the receiver of traces did not take, until `signal`. */
  resend(signal: AbortSignal): Promise<void> | null;
}

/** Opens all parts, which `stack` then owns. @throws {WorkerError} when the store cannot be used */
async function openParts(options: ServeOptions, notice: Notice, stack: AsyncDisposableStack): Promise<Parts> {
  const store = options.store && stack.use(await FleetStoreHandle.open(options.store));
  // With NATS the outbox stays empty: the server that records a group sends its trace.
  const outbox = store && stack.use(new TraceOutbox(store, notice));
  const traces = await openTraces({ notice, onSettled: (groups) => outbox?.settle(groups) });
  if (traces !== null) stack.use(traces);
  // Without a receiver old traces are dropped, so that they do not come all at once when one is configured later.
  if (traces === null) await store?.call("forgetUntraced", {});
  const nats = options.nats && stack.use(await NatsFleet.connect(options.nats, { store, notice }));
  const ledger = nats?.ledger ?? storeLedger(store!, { withTraces: traces !== null });
  const recorder = new GroupRecorder(ledger, traces?.exporter ?? null, notice);
  const correlator = options.correlation && stack.use(
    new Correlator(options.correlation, { groups: (partition, groups) => recorder.add(partition, groups), notice }),
  );
  if (nats !== null && correlator !== null) nats.correlateWith(correlator, recorder);
  const fleet: Fleet = nats ?? localFleet({ store: store!, correlator: correlator!, recorder }, notice);
  const resend = (signal: AbortSignal) => traces && outbox && outbox.resend(traces.exporter, signal);
  return { store, traces, correlator, recorder, fleet, resend };
}

/** @returns null where no agents are received */
async function listenForAgents(
  { grpc, agentFilter }: ServeOptions,
  { store, messageBytesMax }: Fleet,
  notice: Notice,
): Promise<FleetServer | null> {
  if (grpc === null || store === null) return null;
  const { eventsPerSecond, tokensFile, ...rest } = grpc;
  return await FleetServer.listen({
    ...rest,
    store,
    ...tokensFile !== null && { tokensFile },
    limits: { eventsPerSecond, ...messageBytesMax !== null && { messageBytesMax } },
    ...agentFilter !== null && { filter: stamped(agentFilter.filter) },
    onNotice: notice,
  });
}

/** Reads the filter for agents again on each SIGHUP; a file that is wrong changes nothing. */
function reloadOnHangup(
  agentFilter: ServeOptions["agentFilter"],
  server: FleetServer | null,
  notice: Notice,
): Disposable | null {
  if (agentFilter === null || server === null) return null;
  const { file } = agentFilter;
  return onHangup(() => {
    try {
      server.setFilter(stamped(parseAgentFilter(Deno.readTextFileSync(file), file)));
      notice(`the filter of ${file} goes to all agents`);
    } catch (error) {
      notice(`the filter stays as it was: ${(error as Error).message}`);
    }
  });
}

/** The page of `/metrics`. */
async function metricsPage(
  { store, traces, correlator, recorder, fleet }: Parts,
  server: FleetServer | null,
): Promise<string> {
  return renderServerMetrics({
    build: { version: buildInfo().version },
    process: { ...processUsage(), startTimeSeconds: startedUnixSeconds() },
    server: server?.stats ?? null,
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
}

/** @returns null where no HTTP is asked for */
function listenForHttp(
  listen: ServeOptions["listen"],
  parts: Parts,
  { server, stopping }: { server: FleetServer | null; stopping: AbortSignal },
): Deno.HttpServer<Deno.NetAddr> | null {
  if (listen === null) return null;
  const { store, fleet } = parts;
  const app = createFleetApp(
    {
      unready: () => stopping.aborted ? "stopping" : fleet.unready(),
      metrics: () => metricsPage(parts, server),
      live: () => server?.stats.agents ?? [],
      store: store && {
        agents: () => store.call("agents", {}),
        groups: (query) => store.call("groups", { query }),
        topFlows: (query) => store.call("topFlows", { query }),
        alerts: (limit) => store.call("alerts", { limit }),
      },
    },
    { loopback: isLoopback(listen.hostname) },
  );
  return serveHttp(listen, app.fetch);
}

/** Says on the standard streams that the server has begun. */
function printReady(
  { json, quiet, grpc }: ServeOptions,
  host: string,
  { server, http }: { server: FleetServer | null; http: Deno.HttpServer<Deno.NetAddr> | null },
): void {
  const grpcAddress = server && grpc && formatServerAddress({ host: grpc.listen.host, port: server.port });
  const httpAddress = http && formatListen(http.addr);
  if (json) {
    print(jsonLine({ ...head("ready", { unixNs: unixNs(), host }), listen: httpAddress, listen_grpc: grpcAddress }));
  } else if (!quiet) {
    const shown = [grpcAddress && `agents at ${grpcAddress}`, httpAddress && `http://${httpAddress}/`];
    warn(`serving ${shown.filter(Boolean).join(", ")}`);
  }
}

/** Waits for the end of what the fleet has begun, but not for ever for a store that takes nothing. */
async function settle(run: Promise<void>, recorder: GroupRecorder): Promise<void> {
  // The last checkpoint waits for groups, and groups for the store.
  const giveUp = setTimeout(() => recorder.stop(), DRAIN_MS);
  try {
    await run;
    await recorder.settled();
  } finally {
    clearTimeout(giveUp);
  }
}

/** Receives what agents send until Ctrl-C, the duration, or a failure. */
export async function run(options: ServeOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const notice = (text: string) => {
    if (options.json) print(jsonLine(alertObject({ unixNs: unixNs(), host }, "notice", text)));
    else if (!options.quiet) warn(text);
  };
  await using stack = new AsyncDisposableStack();
  const parts = await openParts(options, notice, stack);
  const { store, correlator, recorder, fleet } = parts;
  // The receiving side goes first: what it has taken is then still stored and correlated.
  const running = new AbortController();
  const fleetRun = fleet.run(running.signal);
  fleetRun.catch(() => {});
  const resending = parts.resend(running.signal);
  let server: FleetServer | null = null;
  let http: Deno.HttpServer<Deno.NetAddr> | null = null;
  try {
    server = await listenForAgents(options, fleet, notice);
    using _hangup = reloadOnHangup(options.agentFilter, server, notice);
    http = listenForHttp(options.listen, parts, { server, stopping: stop.signal });
    printReady(options, host, { server, http });
    const ends = [stopped(stop.signal, options.durationSeconds), fleetRun, store?.ended, correlator?.ended];
    await Promise.race(ends.filter((end) => end !== undefined));
    await server?.drain(DRAIN_MS);
    running.abort();
    await settle(fleetRun, recorder);
    if (options.json) printSummary(host, server, recorder);
    return EXIT.done;
  } finally {
    running.abort();
    recorder.stop();
    await server?.[Symbol.asyncDispose]();
    await http?.shutdown();
    await fleetRun.catch(() => {});
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
async function stopped(signal: AbortSignal, durationSeconds: number | null): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using limit = new StopOn(signal, resolve);
  limit.after(durationMs(durationSeconds));
  await promise;
}
