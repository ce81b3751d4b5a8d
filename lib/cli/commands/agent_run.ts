/** `ebpfmon agent`: what `monitor` counts and watches, streamed to a server. */
import { eventsSummaryObject } from "../../export/event_json.ts";
import { alertObject, jsonLine, readyObject, summaryObject } from "../../export/json_lines.ts";
import { addAgentMetrics } from "../../fleet/agent/agent_metrics.ts";
import { formatServerAddress } from "../../fleet/server_address.ts";
import { EventTotals } from "../../pipeline/event_totals.ts";
import { agentObject, renderAgentSummary } from "../agent_view.ts";
import { aggregatorOptions } from "../aggregator_options.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { PIPELINE_DEFAULTS } from "../event_run.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { checkInterfacesLeft, type HostRunHandlers, runHost } from "../host_run.ts";
import { watchedInterfaces } from "../watched_interfaces.ts";
import type { AgentOptions } from "./agent.ts";
import { AgentStream } from "./agent_stream.ts";

/** Says on the standard streams that the run has begun. */
function printReady(
  options: AgentOptions,
  host: string,
  ...[{ interfaces }, listen]: Parameters<HostRunHandlers["ready"]>
): void {
  const servers = options.link.servers.map(formatServerAddress).join(", ");
  if (options.json) {
    print(jsonLine({ ...readyObject({ unixNs: unixNs(), host }, { interfaces, listen }), servers }));
  } else if (!options.quiet) {
    const names = interfaces.map(({ name }) => name).join(", ");
    warn(`watching ${names}, streaming to ${servers}${listen === null ? "" : `, http://${listen}/metrics`}`);
  }
}

/** Watches flows and events, and streams them, until Ctrl-C, the duration, or the last interface's end. */
export async function run(options: AgentOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const { listen, durationSeconds, apiTokenFile, rules, raw, json, quiet } = options;
  const aggregator = await aggregatorOptions(options, watchedInterfaces(options.interfaces));
  const notice = (text: string) => {
    if (json) print(jsonLine(alertObject({ unixNs: unixNs(), host }, "notice", text)));
    else if (!quiet) warn(text);
  };
  await using stream = new AgentStream(options, host, notice);
  const totals = new EventTotals();
  const result = await runHost(
    {
      aggregator: { ...aggregator, owners: true, retransmits: true },
      ...{ listen, durationSeconds, host, apiTokenFile },
      events: {
        totals,
        rules,
        pipeline: { ...PIPELINE_DEFAULTS, deliver: true, deliverRecords: raw },
        adjust: (own) => stream.adjust(own),
      },
      addFamilies: (text) => addAgentMetrics(text, stream.counts),
    },
    {
      ready: (report, listen) => printReady(options, host, report, listen),
      window: (window) => stream.window(window),
      events: (events) => stream.events(events),
      rules: (rules) => stream.rules = rules,
      ringHealth: (health) => stream.ringHealth(health),
      ringAlert: (alert, health) => stream.ringAlert(alert, health),
      alert: (alert, message) => stream.alert(alert, message),
      interfaceGone: (message) => stream.alert("interface_gone", message),
    },
    stop.signal,
  );
  await stream.finish();
  if (json) {
    const stamp = { unixNs: unixNs(), host };
    const flows = summaryObject(stamp, result.totals, options.filter !== "");
    print(jsonLine({ ...eventsSummaryObject(stamp, totals), ...flows, agent: agentObject(stream.counts) }));
  } else {
    print(renderAgentSummary(stream.counts));
  }
  checkInterfacesLeft(result);
  return EXIT.done;
}
