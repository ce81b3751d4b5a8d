/** `ebpfmon measure`: its flags, and the options that they become. */
import { command, optional, type OptionsOf, required } from "../command.ts";
import { ATTACH_FLAGS, INTERFACE, LIBBPF_FLAG, WINDOW_FLAG } from "../flags/flows.ts";
import { seconds } from "../flags/kinds.ts";
import { CONFIG_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";

export const measure = command({
  summary: "how much aggregation reduces event volume and bandwidth",
  description: "Counts for so many seconds, then compares one record a packet with one record a flow and window.",
  positionals: { seconds: required(seconds("SECONDS", 0, "how long to count")), iface: optional(INTERFACE) },
  flags: { ...OUTPUT_FLAGS, ...WINDOW_FLAG, ...ATTACH_FLAGS, ...LIBBPF_FLAG, ...CONFIG_FLAG },
  examples: [
    ["sudo ebpfmon measure 10", "ten seconds of the default route's interface"],
    ["sudo ebpfmon measure 60 eth0 --json", "a minute of eth0, as JSON"],
  ],
  options: ({ iface, ...options }) => ({ ...options, interfaces: iface === "" ? [] : [iface] }),
});

export type MeasureOptions = OptionsOf<typeof measure>;
