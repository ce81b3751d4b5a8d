/// <reference lib="deno.worker" />
/** A worker of a pipeline that takes no event. It does what `filter` says, and tells as notices what it is told. */
import type { NodePlan, NodeProgress, NodeReport, NodeRequest } from "../../lib/pipeline/pipeline_messages.ts";

export interface Script {
  /** The node that does the rest of it. */
  node: string;
  /** It fails as soon as it is started. */
  failWith?: 1 | 3 | 4;
  /** It says that it has stopped only when the main thread has taken what it told of events. */
  reports?: number;
  /** It tells of this record as one that failed. */
  letter?: number[];
  /** It does not answer `stop`. */
  deaf?: boolean;
}

function progressOf(...notices: string[]): NodeProgress {
  return { aggregate: null, cache: null, filteredByRule: [], stages: [], notices };
}

function report(message: NodeReport): void {
  self.postMessage(message);
}

function tell(notice: string): void {
  report({ kind: "progress", progress: progressOf(notice) });
}

/** What a pipeline decided of a node. */
export interface ToldPlan {
  name: string;
  worker: number;
  stages: string[];
  input: string[];
  outputs: string[][];
}

function toldPlan({ name, worker, stages, input, outputs }: NodePlan): ToldPlan {
  const names = ({ urgent, bulk }: NodePlan["input"]) => [urgent.name, bulk.name];
  return { name, worker, stages, input: names(input), outputs: outputs.map(names) };
}

let name = "";
let script: Script = { node: "" };

function start(plan: NodePlan, text: string): void {
  name = plan.name;
  const told = JSON.parse(text) as Script;
  if (told.node === name) script = told;
  if (script.failWith !== undefined) {
    report({ kind: "failed", failure: { message: "Cannot begin", exitCode: script.failWith, detail: "" } });
    return;
  }
  report({ kind: "ready" });
  tell(JSON.stringify(toldPlan(plan)));
  for (let i = 0; i < (script.reports ?? 0); i++) report({ kind: "events", events: [] });
  if (script.letter === undefined) return;
  const record = Uint8Array.from(script.letter);
  report({ kind: "failed_events", letters: [{ stage: name, error: "Cannot bear it", attempts: 1, record }] });
}

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({ data: request }: MessageEvent<NodeRequest>) => {
    switch (request.kind) {
      case "start":
        return start(request.options.plan, request.options.filter);
      case "taken":
        return tell(`${name} taken`);
      case "stop":
        if (script.deaf) return tell(`${name} deaf`);
        return report({ kind: "stopped", progress: progressOf(`${name} stopped`) });
      default:
        request satisfies never;
    }
  };
}
