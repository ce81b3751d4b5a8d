/** `ebpfmon monitor`: flows in windows, on a screen, as lines, or as JSON, until told to stop. */
import { largestFlows } from "../../aggregate/flows/overflow_rank.ts";
import { IpfixExporter } from "../../export/ipfix_exporter.ts";
import { History } from "../../history/history.ts";
import { EventTotals } from "../../pipeline/event_totals.ts";
import { aggregatorOptions } from "../aggregator_options.ts";
import type { RunContext } from "../command.ts";
import { PIPELINE_DEFAULTS } from "../event_run.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import type { FlowRunResult } from "../flow_run.ts";
import { checkInterfacesLeft, type HostRunHandlers, runHost } from "../host_run.ts";
import { watchedInterfaces } from "../watched_interfaces.ts";
import type { MonitorOptions } from "./monitor.ts";
import { type MonitorOutput, openMonitorOutput } from "./monitor_output.ts";

/** @throws {WorkerError} when the store cannot be used: then nothing was attached */
async function openHistory(store: MonitorOptions["store"], output: MonitorOutput): Promise<History | null> {
  if (store === null) return null;
  return await History.open(store, { notice: (text) => output.alert("history", text) });
}

/** Waits until the last window is stored, and says what was not. */
async function closeHistory(history: History | null, output: MonitorOutput): Promise<void> {
  await history?.close();
  const { windowsDropped, rowsDropped } = history?.counts ?? { windowsDropped: 0, rowsDropped: 0 };
  if (windowsDropped === 0) return;
  output.alert("history", `windows that are not in the history: ${windowsDropped}, with ${rowsDropped} flows`);
}

function openIpfix(target: MonitorOptions["ipfix"], output: MonitorOutput): IpfixExporter | null {
  return target === null ? null : new IpfixExporter(target, { notice: (text) => output.alert("ipfix", text) });
}

/** Waits until the last window is sent, and says what was not. */
async function closeIpfix(ipfix: IpfixExporter | null, output: MonitorOutput): Promise<void> {
  await ipfix?.close();
  const { flowsDropped, packetsDropped } = ipfix?.counts ?? { flowsDropped: 0, packetsDropped: 0n };
  if (flowsDropped === 0) return;
  output.alert("ipfix", `flow records that the collector did not get: ${flowsDropped}, with ${packetsDropped} packets`);
}

function showOn(
  output: MonitorOutput,
  { order, topMax, json }: MonitorOptions,
  history: History | null,
): HostRunHandlers {
  return {
    ready: ({ interfaces }, listen) => output.ready(interfaces, listen),
    window(window, totals) {
      history?.add(window);
      window.top = largestFlows(window, order, topMax);
      output.window(window, totals);
    },
    activity: (window) => output.activity(window),
    ringHealth: (health) => output.ringHealth(health),
    ringAlert: ({ alert, message }) => output.alert(alert, message),
    alert: (alert, message) => output.alert(alert, message),
    interfaceGone(message, remaining) {
      // For the last interface the error says so that ends the run.
      if (remaining > 0 || json) output.alert("interface_gone", message);
    },
  };
}

/** Watches flows and events until Ctrl-C, the duration, or the last interface's end. */
export async function run(options: MonitorOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const { listen, durationSeconds, apiTokenFile, rules, store } = options;
  const aggregator = await aggregatorOptions(options, watchedInterfaces(options.interfaces));
  using output = openMonitorOutput(options, host, stop);
  using history = await openHistory(store, output);
  await using ipfix = openIpfix(options.ipfix, output);
  const totals = options.flowsOnly ? null : new EventTotals();
  let result: FlowRunResult;
  try {
    result = await runHost(
      {
        aggregator: {
          ...aggregator,
          // One flow more than is stored: it tells how large the largest flow is that the store leaves out.
          topMax: Math.max(options.topMax, store === null ? 0 : store.rowsMax + 1),
          retransmits: true,
          allFlows: ipfix !== null,
        },
        ...{ listen, durationSeconds, host, apiTokenFile },
        events: totals && { totals, rules, pipeline: PIPELINE_DEFAULTS },
        ipfix: ipfix ?? undefined,
        history: history ?? undefined,
      },
      showOn(output, options, history),
      stop.signal,
    );
    await closeHistory(history, output);
    await closeIpfix(ipfix, output);
    output.summary({ flows: result.totals, events: totals, activity: result.activity });
  } finally {
    await history?.close();
  }
  checkInterfacesLeft(result);
  return EXIT.done;
}
