/** A program with a live screen, for screen_test.ts to run on a pseudo-terminal. Argument: how it ends. */

import { emptyTotals } from "../../lib/aggregate/flows/totals.ts";
import { renderLive } from "../../lib/cli/monitor_view.ts";
import { Screen } from "../../lib/cli/screen.ts";

const stop = new AbortController();
Deno.addSignalListener("SIGINT", () => stop.abort());
const screen = new Screen({
  state: (paused) => ({
    host: "box",
    interfaces: [],
    uptimeSeconds: 0,
    window: null,
    totals: emptyTotals(),
    filter: "",
    listen: null,
    paused,
    rings: null,
    activity: null,
    alerts: [],
  }),
  render: renderLive,
}, stop);
screen.draw();
if (Deno.args[0] === "throw") setTimeout(() => JSON.parse("{"), 0);
if (Deno.args[0] === "exit") setTimeout(() => Deno.exit(7), 0);
stop.signal.addEventListener("abort", () => console.log("stopped"));
