/**
 * Tables of process activity: their columns, the text of each cell, and which columns are dropped on a narrow terminal.
 */
import { percentile } from "../aggregate/activity/process_histogram.ts";
import type { Activity, ProcessRow, ProcessWindow, SyscallAbi } from "../aggregate/activity/process_window.ts";
import type { ActivityGrouping, ActivityOrder } from "../aggregate/activity/activity_options.ts";
import { compareActivity } from "../aggregate/activity/activity_sums.ts";
import { NO_CONTAINER_GROUP } from "../history/rollup.ts";
import { displayWidth, escapeControls, fit, humanBytes, humanCount, humanSeconds } from "../runtime/text.ts";

export interface ActivityTableOptions {
  /**
   * How rows are to be chosen and ranked. A window that was made before the last change is ranked again as far as its
   * rows allow.
   */
  order: ActivityOrder;
  by: ActivityGrouping;
  /** With durations, containers and executables. */
  wide: boolean;
  /** Width of the terminal in columns; Infinity where nothing needs to be cut. */
  width: number;
  rowsMax: number;
}

/** One line of a table. */
interface Line {
  pid: string;
  user: string;
  /** Number of processes that this line stands for. */
  processes: string;
  activity: Activity;
  /** The kind of call that ranks first in this line. */
  call: string;
  container: string;
  label: string;
}

interface Column {
  title: string;
  align: "left" | "right";
  /** Order in which columns are dropped for lack of room: the largest number first; 0 is never dropped. */
  givesWay: number;
  /** The order that sorts by this column; absent where none does. */
  order?: ActivityOrder;
  cell(line: Line): string;
}

/** Least width of the label, which is the last column. */
const LABEL_MIN = 15;
/** Characters of a container id that are shown, as many as container runtimes show. */
const CONTAINER_SHOWN = 12;
const NS_PER_S = 1e9;
const LABEL_TITLES: Record<ActivityGrouping, string> = {
  process: "COMMAND",
  container: "CONTAINER / COMMAND",
  user: "USER / COMMAND",
  syscall: "SYSCALL",
};

/** `openat`, or `openat (compat)` for a call through another table than the machine's own. */
export function callLabel({ name, abi }: { name: string; abi: SyscallAbi }): string {
  return abi === "native" ? name : `${name} (${abi})`;
}

/** `180 ns`, else as `humanSeconds`. */
function humanNs(ns: number): string {
  return ns < 999.5 ? `${Math.round(ns)} ns` : humanSeconds(ns / NS_PER_S);
}

function shownContainer(id: string): string {
  return escapeControls(id.slice(0, CONTAINER_SHOWN));
}

function percentileCell(share: number): (line: Line) => string {
  return ({ activity }) => {
    const found = percentile(activity.histogram, share, activity);
    return found === null ? "" : humanNs(found.estimateNs);
  };
}

function columnsFor(lines: Line[], { by, wide }: ActivityTableOptions, seconds: number): Column[] {
  const rate = (value: (activity: Activity) => number) => ({ activity }: Line) => humanCount(value(activity) / seconds);
  const bytes = (value: (activity: Activity) => number) => ({ activity }: Line) =>
    humanBytes(value(activity) / seconds);
  const numbers: Column[] = [
    { title: "CALLS/s", align: "right", givesWay: 0, order: "calls", cell: rate(({ calls }) => calls) },
    { title: "ERR/s", align: "right", givesWay: 4, order: "errors", cell: rate(({ errors }) => errors) },
    {
      title: "TIME/s",
      align: "right",
      givesWay: 3,
      order: "time",
      cell: ({ activity }) => humanNs(Number(activity.totalNs) / seconds),
    },
    { title: "IN/s", align: "right", givesWay: 6, order: "in", cell: bytes(({ bytesIn }) => bytesIn) },
    { title: "OUT/s", align: "right", givesWay: 5, order: "out", cell: bytes(({ bytesOut }) => bytesOut) },
  ];
  const durations: Column[] = [
    { title: "P50", align: "right", givesWay: 10, cell: percentileCell(0.5) },
    { title: "P99", align: "right", givesWay: 9, cell: percentileCell(0.99) },
    {
      title: "MAX",
      align: "right",
      givesWay: 11,
      cell: ({ activity }) => activity.maxNs === null ? "" : humanNs(Number(activity.maxNs)),
    },
  ];
  const showsCalls = by !== "syscall";
  const call: Column = { title: "MOST", align: "left", givesWay: 7, cell: (line) => line.call };
  const container: Column = { title: "CONTAINER", align: "left", givesWay: 12, cell: (line) => line.container };
  return [
    ...showsCalls ? [{ title: "PID", align: "right", givesWay: 1, cell: (line) => line.pid } satisfies Column] : [],
    ...by === "process" || by === "container"
      ? [{ title: "USER", align: "left", givesWay: 8, cell: (line) => line.user } satisfies Column]
      : [],
    ...by === "process"
      ? []
      : [{ title: "PROCS", align: "right", givesWay: 2, cell: (line) => line.processes } satisfies Column],
    ...numbers,
    ...wide || by === "syscall" ? durations : [],
    ...showsCalls ? [call] : [],
    ...wide && by !== "container" && lines.some((line) => line.container !== "") ? [container] : [],
  ];
}

function processLine(row: ProcessRow, { wide }: ActivityTableOptions, indent: string): Line {
  const [most] = row.syscalls;
  const command = wide && row.exe ? row.exe : row.comm;
  return {
    pid: `${row.pid}`,
    user: escapeControls(row.user || `${row.uid}`),
    processes: "",
    activity: row,
    call: most === undefined ? "" : callLabel(most),
    container: shownContainer(row.container ?? ""),
    label: indent + escapeControls(command),
  };
}

function linesOf(window: ProcessWindow, options: ActivityTableOptions): Line[] {
  const { by, order } = options;
  const sorted = <Row extends Activity>(rows: Row[]) => rows.toSorted((a, b) => compareActivity(order, a, b));
  switch (by) {
    case "process":
      return sorted(window.top).map((row) => processLine(row, options, ""));
    case "syscall":
      return sorted(window.syscalls).map((row) => ({
        pid: "",
        user: "",
        processes: humanCount(row.processes),
        activity: row,
        call: "",
        container: "",
        label: callLabel(row),
      }));
    case "container":
    case "user":
      // Groups of another kind are those of a window that was arranged before.
      if (window.arrangement.by !== by) return [];
      return sorted(window.groups).flatMap((group) => {
        const name = by === "container"
          ? shownContainer(group.label) || NO_CONTAINER_GROUP
          : escapeControls(group.label);
        const [head, rest] = [sorted(group.top), group.processes - group.top.length];
        const lines = head.map((row, i) => processLine(row, options, i < head.length - 1 || rest > 0 ? "├ " : "└ "));
        return [
          {
            pid: "",
            user: "",
            processes: humanCount(group.processes),
            activity: group,
            call: "",
            container: "",
            label: name,
          },
          ...lines,
        ];
      });
    default:
      return by satisfies never;
  }
}

/** Makes the lines of a table: titles, then a line a row, none wider than the terminal. */
export function activityTable(window: ProcessWindow, options: ActivityTableOptions): string[] {
  const { by, order, width, rowsMax } = options;
  const seconds = Number(window.endNs - window.startNs) / NS_PER_S;
  const lines = linesOf(window, options).slice(0, rowsMax);
  const isSorted = (column: Column) =>
    column.order === order ||
    order === "bytes" && (column.order === "in" || column.order === "out");
  const title = (column: Column) => isSorted(column) ? `${column.title}▼` : column.title;
  const widthOf = (column: Column) =>
    Math.max(displayWidth(title(column)), ...lines.map((line) => displayWidth(column.cell(line))));
  let columns = columnsFor(lines, options, seconds).map((column) => ({ ...column, width: widthOf(column) }));
  const room = () => width - columns.reduce((sum, column) => sum + column.width + 2, 0);
  while (room() < LABEL_MIN) {
    // What it is sorted by stays as long as anything else can go.
    const going = columns.filter(({ givesWay }) =>
      givesWay > 0
    ).sort((a, b) => Number(isSorted(a)) - Number(isSorted(b)) || b.givesWay - a.givesWay)[0];
    if (going === undefined) {
      break;
    }
    columns = columns.filter((column) =>
      column !== going
    );
  }
  const labels = [LABEL_TITLES[by], ...lines.map(({ label }) => label)];
  const labelWidth = Math.max(0, Math.min(room(), Math.max(...labels.map(displayWidth))));
  const row = (cell: (column: Column) => string, label: string) =>
    (columns.map((column) => fit(cell(column), column.width, column.align) + "  ").join("") + fit(label, labelWidth))
      .trimEnd();
  return [row(title, LABEL_TITLES[by]), ...lines.map((line) => row((column) => column.cell(line), line.label))];
}
