/** `ebpfmon history`: its flags, and the options that they become. */
import { LEVEL_NAMES, LEVELS } from "../../history/levels.ts";
import { type GroupBy, GROUPINGS } from "../../history/rollup.ts";
import { type Cidr, parseCidr } from "../../net/address.ts";
import { command, type OptionsOf, required } from "../command.ts";
import { checkFlowFilter } from "../flags/flows.ts";
import {
  choice,
  choiceFlag,
  integerFlag,
  mapped,
  switchFlag,
  textFlag,
  type ValueFlag,
  valueFlag,
} from "../flags/kinds.ts";
import { OUTPUT_FLAGS } from "../flags/output.ts";
import { parseTime, type TimeSpec } from "../flags/time.ts";

const VIEWS = ["top", "series", "flows"] as const;

/** A moment: RFC 3339, a day, `now`, or so long before it. */
function timeFlag(name: string, fallbackText: string, help: string): ValueFlag<TimeSpec> {
  return {
    name,
    value: "TIME",
    help,
    takes: "a time like 2026-01-02T03:04:05Z, 2026-01-02, -1h or now",
    fallbackText,
    fallback: parseTime(fallbackText)!,
    parse: (text) => parseTime(text) ?? undefined,
  };
}

/** null: as the view does. */
const BY_FLAG = valueFlag<GroupBy | null>({
  ...choiceFlag("by", GROUPINGS, "flow", "what to group by [flow; for series nothing]"),
  value: "GROUPING",
  fallbackText: undefined,
  fallback: null,
});

/** Networks separated by commas. */
const NETWORKS_FLAG = valueFlag<Cidr[]>({
  name: "nets",
  value: "LIST",
  help: "networks for --by net, separated by commas; else every /24 and /48",
  takes: "networks like 10.0.0.0/8,2001:db8::/32",
  fallback: [],
  parse: (text: string) => {
    const networks = text.split(",").map(parseCidr);
    return networks.every((network) => network !== null) ? networks : undefined;
  },
});

/** A group opened again: what it was grouped by, and its name there. */
const GROUP_FLAG = valueFlag<{ by: GroupBy; label: string } | null>({
  name: "group",
  value: "BY=GROUP",
  help: "only the flows of this group: 'port=443/tcp', 'net=192.0.2.0/24'",
  takes: `a grouping and one of its groups; groupings are ${GROUPINGS.join(", ")}`,
  fallback: null,
  parse: (text: string) => {
    const [, name, label] = /^([a-z]+)=(.+)$/s.exec(text) ?? [];
    const by = GROUPINGS.find((grouping) => grouping === name);
    return by === undefined ? undefined : { by, label };
  },
});

/** Index in LEVELS; null: as the time asks for. */
const LEVEL_FLAG = mapped(
  choiceFlag("level", ["auto", ...LEVEL_NAMES], "auto", "coarsest windows to read; auto gives 24 or more"),
  (level) => level === "auto" ? null : LEVELS.findIndex(({ name }) => name === level),
);

export const history = command({
  summary: "top talkers and series from what monitor --store kept",
  description:
    "top shows the largest groups of flows, series traffic over time, flows single flows. Reads while a monitor writes.\n" +
    "A window names its largest flows and keeps the others as a sum, which every answer shows beside what it names.\n" +
    "Flows that found no room in the map are estimates: ~, at least so much, with error_packets and error_bytes beside it.\n" +
    `Groupings for --by: ${GROUPINGS.join(", ")}.\n` +
    "net is the far end's network; port is the lower of the two.",
  positionals: { view: required(choice(VIEWS, "top", "what to show")) },
  flags: {
    ...OUTPUT_FLAGS,
    csv: switchFlag("csv", "comma-separated values on stdout"),
    path: textFlag({
      name: "store",
      value: "FILE",
      help: "database that monitor --store keeps",
      takes: "the name of a file",
      completes: "file",
    }),
    from: timeFlag("from", "-1h", "where to begin"),
    to: timeFlag("to", "now", "where to end"),
    by: BY_FLAG,
    where: textFlag({
      name: "where",
      value: "EXPR",
      help: "which flows, as for --filter: 'tcp and dst net 10.0.0.0/8'",
      takes: "an expression",
    }),
    group: GROUP_FLAG,
    networks: NETWORKS_FLAG,
    level: LEVEL_FLAG,
    rank: choiceFlag("sort", ["packets", "bytes"], "packets", "what ranks rows"),
    limit: integerFlag("limit", "N", { min: 1, max: 100_000, unit: "rows", fallback: 10 }, "rows to show"),
  },
  examples: [
    ["ebpfmon history top --store flows.db --from -1h --by src", "who sent most in the last hour"],
    [
      "ebpfmon history series --store flows.db --from -1d --by port --limit 5",
      "the five largest services over a day",
    ],
    [
      "ebpfmon history flows --store flows.db --from -10m --group port=443/tcp --csv > flows.csv",
      "the flows of one group, for a spreadsheet",
    ],
  ],
  options(options, context) {
    const { wrong } = context;
    if (options.path === "") throw wrong("--store FILE is missing: the database that monitor --store keeps");
    if (options.json && options.csv) throw wrong("--json and --csv exclude each other");
    if (options.view === "flows" && options.by !== null) throw wrong("flows takes no --by: use top");
    checkFlowFilter(options.where, context, "where");
    return options;
  },
});

export type HistoryOptions = OptionsOf<typeof history>;
