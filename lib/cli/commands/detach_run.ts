/** `ebpfmon detach`: removes what an instance that was killed has left on interfaces. */
import { jsonLine, rfc3339 } from "../../export/json_lines.ts";
import { type OwnFilter, type Sweep, sweepFilters } from "../../ffi/clsact.ts";
import { resolveInterfaces } from "../../aggregate/flows/flow_attachments.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import type { DetachOptions } from "./detach.ts";

function place({ iface, direction, priority, handle }: OwnFilter): string {
  return `${iface} ${direction} (priority ${priority}, handle 0x${handle.toString(16)})`;
}

/** Says in a line for each filter whether it was removed or kept. */
export function renderSweep({ removed, kept }: Sweep): string {
  if (removed.length + kept.length === 0) return "Nothing to remove.\n";
  const lines = [
    ...removed.map((filter) =>
      `removed  ${place(filter)}, of an instance that ${filter.ownerLives ? "is running" : "has ended"}`
    ),
    ...kept.map((filter) => `kept     ${place(filter)}, of an instance that is running; --force removes it`),
  ];
  return `${lines.join("\n")}\n`;
}

/** Removes the filters, and prints what was removed and what was kept. */
export function run({ interfaces, force, json }: DetachOptions, { host }: RunContext): ExitCode {
  const ifindexes = resolveInterfaces(interfaces).map(({ ifindex }) => ifindex);
  const sweep = sweepFilters({ ifindexes, force });
  if (!json) {
    print(renderSweep(sweep));
    return EXIT.done;
  }
  const time = rfc3339(unixNs());
  for (const done of ["removed", "kept"] as const) {
    for (const { iface, direction, priority, handle, ownerLives } of sweep[done]) {
      const owner = ownerLives ? "running" : "ended";
      print(
        jsonLine({
          type: "filter",
          time,
          host,
          iface,
          direction,
          priority,
          handle,
          owner,
          removed: done === "removed",
        }),
      );
    }
  }
  return EXIT.done;
}
