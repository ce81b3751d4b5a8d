/** A router that tells its health once and hears nothing of what it is told after that. */
import type { RouterReport, RouterRequest } from "../../lib/router/router_messages.ts";

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({ data: request }: MessageEvent<RouterRequest>) => {
    if (request.kind !== "start") return;
    const rings = [{ ring: "critical", submitted: 9n, consumed: 9n }, { ring: "normal", submitted: 7n, consumed: 3n }];
    self.postMessage({ kind: "health", health: { unixNs: 1n, rings, droppedByType: [] } } as unknown as RouterReport);
  };
}
