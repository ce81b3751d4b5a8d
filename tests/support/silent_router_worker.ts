/** A router that says nothing of rules, and stops when it is told to. */
import type { RouterReport, RouterRequest } from "../../lib/router/router_messages.ts";

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({ data: request }: MessageEvent<RouterRequest>) => {
    if (request.kind === "rules") return;
    const ready = { kind: "ready", sources: [], notices: [], libbpf: { version: "0", source: "system" } };
    const health = { unixNs: 1n, rings: [], droppedByType: [] };
    self.postMessage((request.kind === "start" ? ready : { kind: "stopped", health }) as unknown as RouterReport);
  };
}
