/** Flags about counting flows. The option that each of them sets is the aggregator's own. */
import type { AggregatorOptions } from "../../aggregate/aggregator_messages.ts";
import { FLOW_ORDERS, type FlowOrder, SEEN_ORDERS } from "../../aggregate/windows/flow_window.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import {
  choiceFlag,
  type Flag,
  type Flags,
  integerFlag,
  offSwitchFlag,
  switchFlag,
  textFlag,
  type ValueFlag,
  valueFlag,
  type ValueSpec,
} from "./kinds.ts";
import { checked, type UsageContext } from "./usage.ts";

/** A table that sets options of the aggregator and nothing else: a name that the aggregator does not know is an error. */
type AggregatorFlags = Partial<Record<keyof AggregatorOptions, Flag>>;

export const INTERFACE = {
  value: "IFACE",
  help: "interface to watch; the one of the default route where none is given",
  takes: "the name of an interface",
  completes: "interface",
  fallback: "",
  parse: (text: string) => /^[^\s/]+$/.test(text) ? text : undefined,
} satisfies ValueSpec<string>;

export const LIBBPF_FLAG = {
  libbpfUrl: textFlag({
    name: "libbpf-url",
    value: "URL",
    help: "fetch and cache a libbpf.so from there, in the place of the system's; root only",
    takes: "a URL",
  }),
} satisfies Flags;

export const FLOWS_MAX_FLAGS = {
  flowsMax: integerFlag(
    "max-flows",
    "N",
    { min: 1, max: 16_777_216, unit: "flows", fallback: 131_072 },
    "flows that a window holds, of IPv4 and of IPv6 each",
  ),
  flowsLimit: integerFlag(
    "max-flows-limit",
    "N",
    { min: 1, max: 16_777_216, unit: "flows", fallback: 1_048_576 },
    "a full map doubles up to this; a million take 250 to 300 MB",
  ),
} satisfies AggregatorFlags;

/** How programs are attached, and how they count. */
export const ATTACH_FLAGS = {
  direction: choiceFlag("direction", ["ingress", "egress", "both"], "both", "which packets to count"),
  // All names are too long for the flag's own column.
  ingressMode: {
    ...choiceFlag(
      "mode",
      ["auto", "native", "generic", "tcx", "clsact"],
      "auto",
      "hook for ingress: native, generic, tcx, clsact; auto: the first that works",
    ),
    value: "MODE",
  },
  egressHook: choiceFlag(
    "egress-hook",
    ["tcx", "clsact"],
    "tcx",
    "hook for egress; before Linux 6.6 tcx means clsact, here and for --mode",
  ),
  ...FLOWS_MAX_FLAGS,
  prefixesMax: integerFlag(
    "max-prefixes",
    "N",
    { min: 1, max: 1_048_576, unit: "networks", fallback: 16_384 },
    "source networks (/24, /48) that count what has no room",
  ),
  values: choiceFlag("values", ["atomic", "percpu"], "atomic", "how counts stay exact: atomic adds, or a value a CPU"),
  force: switchFlag("force", "replace an XDP program that is already attached"),
} satisfies AggregatorFlags;

export const WINDOW_FLAG = {
  windowMs: integerFlag(
    "window",
    "MS",
    { min: 100, max: 60_000, unit: "milliseconds", fallback: 1000 },
    "length of a window",
  ),
} satisfies AggregatorFlags;

/** `--window` where the load may choose the length; `windowOptions` makes the aggregator's options of it. */
export const AUTO_WINDOW_FLAG = {
  window: valueFlag<number | "auto">({
    ...WINDOW_FLAG.windowMs,
    value: "MS|auto",
    help: `${WINDOW_FLAG.windowMs.help}; auto: 250 to 10000, as the load asks for`,
    takes: `${WINDOW_FLAG.windowMs.takes}, or auto`,
    fallback: 1000,
    parse: (text) => text === "auto" ? text : WINDOW_FLAG.windowMs.parse(text),
  }),
};

/** With `auto` the length is the default one, which is then not used. */
export function windowOptions(window: number | "auto"): { windowMs: number; windowAuto: boolean } {
  const windowAuto = window === "auto";
  return { windowMs: windowAuto ? WINDOW_FLAG.windowMs.fallback : window, windowAuto };
}

export const TOP_FLAG = {
  topMax: integerFlag("top", "N", { min: 1, max: 1000, unit: "flows", fallback: 10 }, "largest flows to show"),
} satisfies AggregatorFlags;

export const ORDER_FLAG = {
  // All names are too long for the flag's own column.
  order: { ...choiceFlag("sort", FLOW_ORDERS, "packets", `by ${FLOW_ORDERS.join(", ")}`), value: "ORDER" },
} satisfies AggregatorFlags;

/** `--sort` for a capture, in which nobody sees what TCP sends again. */
export const SEEN_ORDER_FLAG = {
  order: choiceFlag(
    "sort",
    SEEN_ORDERS,
    "packets",
    "what ranks flows; resets and new: first those with a TCP reset or handshake",
  ),
} satisfies { order: ValueFlag<Extract<FlowOrder, typeof SEEN_ORDERS[number]>> };

export const FLOW_FILTER_FLAG = {
  filter: textFlag({
    name: "filter",
    value: "EXPR",
    help: "which flows to show, as for tcpdump: 'tcp and (dst port 443 or net 10.0.0.0/8)'",
    takes: "an expression",
  }),
} satisfies AggregatorFlags;

export const OWNERS_FLAG = {
  owners: offSwitchFlag("no-owners", "do not look for the process that owns each flow"),
} satisfies AggregatorFlags;

/** All flags whose options are the aggregator's: what a command has of them is passed on as it is. */
export const AGGREGATOR_FLAGS = {
  ...ATTACH_FLAGS,
  ...WINDOW_FLAG,
  ...TOP_FLAG,
  ...ORDER_FLAG,
  ...FLOW_FILTER_FLAG,
  ...OWNERS_FLAG,
} satisfies AggregatorFlags;

/** @param flag long name of the flag that holds the expression @throws {UsageError} */
export function checkFlowFilter(filter: string, context: UsageContext, flag = "filter"): void {
  if (filter !== "") checked(context, flag, () => parseFlowFilter(filter));
}
