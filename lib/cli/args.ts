/** The command line: from words to what is to be done. */

import type { IpfixTarget } from "../export/ipfix_transport.ts";
import type { ListenAddress } from "../net/listen_address.ts";
import { parseEventFilter, parseFlowFilter } from "../filter/language.ts";
import type { OverflowPolicy } from "../pipeline/channel/channel.ts";
import type { Placement } from "../pipeline/pipeline_messages.ts";
import type { ActivityArrangement, ActivityOptions } from "../aggregate/activity/activity_options.ts";
import { DEFAULT_ARRANGEMENT } from "../aggregate/activity/process_reducer.ts";
import type { AggregatorOptions } from "../aggregate/aggregator_messages.ts";
import type { FlowOrder } from "../aggregate/windows/flow_window.ts";
import { LEVELS } from "../history/levels.ts";
import type { Cidr } from "../net/address.ts";
import type { GroupBy } from "../history/rollup.ts";
import type { StoreOptions } from "../history/history_messages.ts";
import type { RouterChoices } from "../router/defaults.ts";
import { parseRuleSet } from "../events/rules.ts";
import { parseArgs } from "../runtime/std.ts";
import {
  COMMAND_NAMES,
  type CommandName,
  COMMANDS,
  type CommandSpec,
  CONFIG_FLAG,
  type HistoryView,
  type PipelineAction,
  type Shell,
} from "./commands.ts";
import type { RuleSource } from "./event_run.ts";
import type { FlagValues, ValueSpec } from "./flags.ts";
import { formatOf } from "./live_rules.ts";
import { commandHelp, programHelp } from "./help.ts";
import type { TimeSpec } from "./history_time.ts";
import { type AgentOptions, agentOptions, type ServeOptions, serveOptions } from "./fleet_args.ts";
import { nearest } from "../runtime/suggest.ts";

/** Wrong usage. The message is one line that names the mistake and the help to read. */
export class UsageError extends Error {
  override name = "UsageError";
}

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  debug: boolean;
}

/** The part of the aggregator's options that a user sets. */
export interface AttachOptions extends Omit<AggregatorOptions, "assetsDir" | "topMax" | "filter" | "libbpfPath"> {
  /** Empty for none. */
  libbpfUrl: string;
}

export interface MonitorOptions extends OutputOptions, AttachOptions {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  topMax: number;
  order: FlowOrder;
  windowAuto: boolean;
  /** Validated; empty for none. */
  filter: string;
  /** Without the event router. */
  flowsOnly: boolean;
  /** For events. */
  rules: RuleSource;
  /** null: changes over HTTP are for this machine only. */
  apiTokenFile: string | null;
  /** null: nothing is stored. */
  store: StoreOptions | null;
  /** Where flow records are sent; null for nowhere. */
  ipfix: IpfixTarget | null;
}

export interface ReplayCommandOptions extends OutputOptions {
  /** `-` for standard input. */
  file: string;
  windowMs: number;
  topMax: number;
  order: FlowOrder;
  flowsMax: number;
  flowsLimit: number;
  /** Validated; empty for none. */
  filter: string;
  /** 1 for real time; 0 for as fast as it goes. */
  speed: number;
  /** Empty for none. */
  libbpfUrl: string;
}

export interface HistoryOptions extends OutputOptions {
  view: HistoryView;
  path: string;
  csv: boolean;
  from: TimeSpec;
  to: TimeSpec;
  /** null: as the view does. */
  by: GroupBy | null;
  /** Validated; empty for none. */
  where: string;
  group: { by: GroupBy; label: string } | null;
  networks: Cidr[];
  /** Index in LEVELS; null: as the time asks for. */
  level: number | null;
  rank: "packets" | "bytes";
  limit: number;
}

export interface MeasureOptions extends OutputOptions, AttachOptions {
  seconds: number;
}

export interface TopOptions extends OutputOptions {
  /** null: until told to stop. */
  durationSeconds: number | null;
  windowMs: number;
  activity: ActivityOptions;
  /** With durations, containers and executables. */
  wide: boolean;
  /** Empty for none. */
  libbpfUrl: string;
}

export interface EventsOptions extends OutputOptions, RouterChoices {
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  rules: RuleSource;
  /** null: changes over HTTP are for this machine only. */
  apiTokenFile: string | null;
  /** Share of debug events that may be dropped without an alert. */
  debugDropRateMax: number;
  failOnCriticalDrop: boolean;
  /** URL to post alerts to. */
  webhook: string | null;
  /** Validated; empty for none. */
  filter: string;
}

export interface PipelineCommandOptions extends OutputOptions {
  action: PipelineAction;
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until told to stop. */
  durationSeconds: number | null;
  /** Events to make up; null for those of the kernel. */
  simulate: number | null;
  /** Events a second; 0 for as fast as they go. */
  rate: number;
  delayMs: number;
  /** Whether simulated events go through the kernel's rings. */
  kernel: boolean;
  placement: Placement;
  channel: "shared" | "queue";
  policy: OverflowPolicy;
  /** Validated; empty for none. */
  filter: string;
  /** File that dead letters are appended to, or read from; null for none. */
  deadLetters: string | null;
}

export interface DetachOptions extends OutputOptions {
  /** Empty for all. */
  interfaces: string[];
  force: boolean;
}

/** What a command line asks for. */
export type ParsedCommand =
  | { command: "help"; text: string }
  | { command: "version" }
  | { command: "monitor"; options: MonitorOptions }
  | { command: "measure"; options: MeasureOptions }
  | { command: "events"; options: EventsOptions }
  | { command: "top"; options: TopOptions }
  | { command: "replay"; options: ReplayCommandOptions }
  | { command: "history"; options: HistoryOptions }
  | { command: "pipeline"; options: PipelineCommandOptions }
  | { command: "agent"; options: AgentOptions }
  | { command: "serve"; options: ServeOptions }
  | { command: "doctor"; options: OutputOptions }
  | { command: "detach"; options: DetachOptions }
  | { command: "completions"; shell: Shell };

/**
 * Parses the words after the program's name.
 *
 * @param readFile Text of the file that `--config` names; what it throws is reported as wrong usage.
 * @throws {UsageError}
 */
export function parseCommandLine(words: readonly string[], readFile: (path: string) => string): ParsedCommand {
  const [first, ...rest] = words;
  if (first === undefined) throw new UsageError("ebpfmon: a command is missing; see ebpfmon --help");
  if (first === "--version" || first === "-V") return { command: "version" };
  if (first === "--help" || first === "-h") return { command: "help", text: programHelp() };
  if (first === "help") {
    return { command: "help", text: rest.length === 0 ? programHelp() : commandHelp(commandName(rest[0])) };
  }

  const name = commandName(first);
  const { flags, positionals, help } = splitWords(name, rest);
  if (help) return { command: "help", text: commandHelp(name) };
  switch (name) {
    case "monitor": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { interfaces } = positionalValues(name, COMMANDS[name], positionals);
      checkFilter(name, values.filter);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          ...attachOptions({ ...values, ...fixedWindow(values) }, interfaces as string[]),
          windowAuto: values.window === "auto",
          listen: values.listen === "off" ? null : values.listen,
          durationSeconds: values.duration,
          topMax: values.top,
          order: flowOrder(values),
          filter: values.filter,
          flowsOnly: values["flows-only"],
          rules: ruleSource(name, values.rules, { watch: values["watch-config"], readFile }),
          apiTokenFile: values["api-token-file"],
          store: storeOptions(values),
          owners: !values["no-owners"],
          activity: monitoredActivity(values),
          ipfix: values.ipfix,
        },
      };
    }
    case "measure": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { seconds, iface } = positionalValues(name, COMMANDS[name], positionals);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          ...attachOptions(values, iface as string[]),
          seconds: seconds[0] as number,
        },
      };
    }
    case "events": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: eventsOptions(values, readFile) };
    }
    case "top": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: topOptions(values) };
    }
    case "replay": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { file } = positionalValues(name, COMMANDS[name], positionals);
      checkFilter(name, values.filter);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          file: file[0] as string,
          windowMs: values.window,
          topMax: values.top,
          order: values.sort,
          flowsMax: values["max-flows"],
          flowsLimit: values["max-flows-limit"],
          filter: values.filter,
          speed: values.speed,
          libbpfUrl: values["libbpf-url"],
        },
      };
    }
    case "history": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { view } = positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: historyOptions(view[0] as HistoryView, values) };
    }
    case "pipeline": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { action } = positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: pipelineOptions(values, (action[0] as PipelineAction) ?? "run") };
    }
    case "agent": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { interfaces } = positionalValues(name, COMMANDS[name], positionals);
      checkFilter(name, values.filter);
      return {
        command: name,
        options: {
          ...outputOptions(values),
          ...attachOptions(values, interfaces as string[]),
          ...agentOptions(values, (mistake) => usage(name, mistake)),
          rules: ruleSource(name, values.rules, { watch: values["watch-config"], readFile }),
        },
      };
    }
    case "serve": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      positionalValues(name, COMMANDS[name], positionals);
      const wrong = (mistake: string) => usage(name, mistake);
      return { command: name, options: { ...outputOptions(values), ...serveOptions(values, wrong, readFile) } };
    }
    case "doctor":
      positionalValues(name, COMMANDS[name], positionals);
      return { command: name, options: outputOptions(flagValues(name, COMMANDS[name].flags, flags, readFile)) };
    case "detach": {
      const values = flagValues(name, COMMANDS[name].flags, flags, readFile);
      const { interfaces } = positionalValues(name, COMMANDS[name], positionals);
      return {
        command: name,
        options: { ...outputOptions(values), interfaces: interfaces as string[], force: values.force },
      };
    }
    case "completions": {
      const { shell } = positionalValues(name, COMMANDS[name], positionals);
      return { command: name, shell: shell[0] as Shell };
    }
    default:
      return name satisfies never;
  }
}

type MeasureFlags = FlagValues<typeof COMMANDS.measure.flags>;

function outputOptions({ json, quiet, debug }: OutputOptions): OutputOptions {
  return { json, quiet, debug };
}

/** With `--window auto` the length that is not used. */
function fixedWindow({ window }: FlagValues<typeof COMMANDS.monitor.flags>): { window: number } {
  return { window: window === "auto" ? COMMANDS.measure.flags.window.fallback : window };
}

function flowOrder({ sort, store }: FlagValues<typeof COMMANDS.monitor.flags>): FlowOrder {
  if (sort !== "packets" && store !== "") {
    throw usage("monitor", `--store keeps the flows of most packets: no --sort ${sort}`);
  }
  return sort;
}

function attachOptions(values: MeasureFlags, interfaces: string[]): AttachOptions {
  return {
    interfaces,
    direction: values.direction,
    ingressMode: values.mode,
    egressHook: values["egress-hook"],
    force: values.force,
    windowMs: values.window,
    flowsMax: values["max-flows"],
    flowsLimit: values["max-flows-limit"],
    prefixesMax: values["max-prefixes"],
    values: values.values,
    libbpfUrl: values["libbpf-url"],
  };
}

function eventsOptions(
  values: FlagValues<typeof COMMANDS.events.flags>,
  readFile: (path: string) => string,
): EventsOptions {
  const ringBytes = {
    critical: values["ring-critical"],
    normal: values["ring-normal"],
    debug: values["ring-debug"],
  };
  checkFilter("events", values.filter, { parse: parseEventFilter });
  for (const [ring, bytes] of Object.entries(ringBytes)) {
    if (bytes > values["ring-max"]) {
      throw usage("events", `--ring-${ring} ${bytes} is more than --ring-max ${values["ring-max"]}`);
    }
  }
  return {
    ...outputOptions(values),
    listen: values.listen === "off" ? null : values.listen,
    durationSeconds: values.duration,
    ringBytes,
    ringBytesMax: values["ring-max"],
    rateLimit: values["rate-limit"],
    repeatSuppression: !values["no-repeat-suppression"],
    isolate: values.isolate,
    only: { rings: values.only, events: values.event, pid: values.pid, uid: values.uid, comm: values.comm },
    rules: ruleSource("events", values.config, { watch: values["watch-config"], readFile }),
    apiTokenFile: values["api-token-file"],
    debugDropRateMax: values["debug-drop-alert"] / 100,
    failOnCriticalDrop: values["fail-on-critical-drop"],
    webhook: values.webhook,
    filter: values.filter,
  };
}

/** Room for most hosts; a map that turns out too small is doubled up to the limit. */
const ACTIVITY_ENTRIES = { entriesMax: 8_192, entriesMaxLimit: 131_072 };

/** What `monitor` counts of system calls; null for nothing. */
function monitoredActivity(values: FlagValues<typeof COMMANDS.monitor.flags>): ActivityOptions | null {
  const totalsMax = values["process-metrics"];
  if (!values.activity && totalsMax === 0) return null;
  const { sampling, top: topMax } = values;
  return { ...DEFAULT_ARRANGEMENT, ...ACTIVITY_ENTRIES, sampling, topMax, totalsMax };
}

function topOptions(values: FlagValues<typeof COMMANDS.top.flags>): TopOptions {
  const { sort: order, by, syscall, comm, pid, uid, sampling, top: topMax } = values;
  const arrangement: ActivityArrangement = { order, by, syscall, comm, pid, uid };
  return {
    ...outputOptions(values),
    durationSeconds: values.duration,
    windowMs: values.window,
    activity: { ...arrangement, ...ACTIVITY_ENTRIES, sampling, topMax, totalsMax: 0 },
    wide: values.output === "wide",
    libbpfUrl: values["libbpf-url"],
  };
}

const BYTES_PER_MB = 1_000_000;

function storeOptions(values: FlagValues<typeof COMMANDS.monitor.flags>): StoreOptions | null {
  if (values.store === "") return null;
  return {
    path: values.store,
    bytesMax: values["store-max-mb"] * BYTES_PER_MB,
    rowsMax: values["store-rows"],
    keepNs: values.retention,
  };
}

function historyOptions(view: HistoryView, values: FlagValues<typeof COMMANDS.history.flags>): HistoryOptions {
  if (values.store === "") throw usage("history", "--store FILE is missing: the database that monitor --store keeps");
  if (values.json && values.csv) throw usage("history", "--json and --csv exclude each other");
  if (view === "flows" && values.by !== null) throw usage("history", "flows takes no --by: use top");
  checkFilter("history", values.where, { flag: "where" });
  const level = LEVELS.findIndex(({ name }) => name === values.level);
  return {
    ...outputOptions(values),
    view,
    path: values.store,
    csv: values.csv,
    from: values.from,
    to: values.to,
    by: values.by,
    where: values.where,
    group: values.group,
    networks: values.nets,
    level: level === -1 ? null : level,
    rank: values.sort,
    limit: values.limit,
  };
}

function pipelineOptions(
  values: FlagValues<typeof COMMANDS.pipeline.flags>,
  action: PipelineAction,
): PipelineCommandOptions {
  const wrong = (mistake: string) => usage("pipeline", mistake);
  checkFilter("pipeline", values.filter, { parse: parseEventFilter });
  if (action !== "run" && values["dead-letters"] === null) throw wrong(`${action} takes --dead-letters FILE`);
  if (values.simulate === null && action === "run") {
    if (values["no-kernel"]) throw wrong("--no-kernel takes --simulate N");
    if (values.rate > 0) throw wrong("--rate takes --simulate N");
  }
  const fansOut = values.placement === "fan-out";
  return {
    ...outputOptions(values),
    action,
    listen: values.listen === "off" ? null : values.listen,
    durationSeconds: values.duration,
    simulate: values.simulate,
    rate: values.rate,
    delayMs: values.delay,
    kernel: !values["no-kernel"],
    placement: fansOut
      ? {
        kind: "fan_out",
        enrichWorkers: values["enrich-workers"],
        distribution: values.distribution === "hash" ? "hash" : "round_robin",
      }
      : { kind: values.placement === "each" ? "each" : "one" },
    channel: values.channel,
    policy: values.policy.replace("-", "_") as OverflowPolicy,
    filter: values.filter,
    deadLetters: values["dead-letters"],
  };
}

/** @param file empty for none */
function ruleSource(
  command: "agent" | "events" | "monitor",
  file: string,
  { watch, readFile }: { watch: boolean; readFile: (path: string) => string },
): RuleSource {
  const flag = command === "events" ? "config" : "rules";
  if (file === "") {
    if (watch) throw usage(command, `--watch-config takes --${flag} FILE`);
    return { own: { rules: [] }, file: null, watch };
  }
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    throw unreadable(command, file, error, flag);
  }
  try {
    return { own: parseRuleSet(text, formatOf(file), file), file, watch };
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(command, error.message);
    throw error;
  }
}

function commandName(word: string): CommandName {
  const name = COMMAND_NAMES.find((candidate) => candidate === word);
  if (name !== undefined) return name;
  if (word.startsWith("-")) {
    throw new UsageError(`ebpfmon: ${quote(word)} comes before any command; see ebpfmon --help`);
  }
  throw new UsageError(`ebpfmon: unknown command ${quote(word)}${didYouMean(word, COMMAND_NAMES)}; see ebpfmon --help`);
}

interface SplitWords {
  /** Texts of the flags given, by name; a boolean for a switch. */
  flags: Map<string, string | boolean>;
  positionals: string[];
  help: boolean;
}

/** `--from -1h` as `--from=-1h`: parseArgs takes whatever begins with a hyphen for a flag. */
function joinNegative(words: readonly string[], specs: CommandSpec["flags"]): string[] {
  const joined: string[] = [];
  for (const word of words) {
    const name = joined.includes("--") ? undefined : /^--([^=]+)$/.exec(joined.at(-1) ?? "")?.[1];
    const takesValue = name !== undefined && Object.hasOwn(specs, name) && specs[name].value !== null;
    if (takesValue && /^-\d/.test(word)) joined[joined.length - 1] += `=${word}`;
    else joined.push(word);
  }
  return joined;
}

function splitWords(command: CommandName, typed: readonly string[]): SplitWords {
  const specs: CommandSpec["flags"] = COMMANDS[command].flags;
  const words = joinNegative(typed, specs);
  const names = Object.keys(specs);
  const switches = names.filter((name) => specs[name].value === null);
  const separator = words.indexOf("--");
  for (const word of separator === -1 ? words : words.slice(0, separator)) {
    // parseArgs takes whatever follows the "=" of a switch for true.
    const [, name, value] = /^--([^=]+)=(.*)$/s.exec(word) ?? [];
    if ([...switches, "help"].includes(name) && value !== "true" && value !== "false") {
      throw usage(command, `--${name} takes no value, got ${quote(value)}`);
    }
  }

  const parsed = parseArgs(words, {
    boolean: [...switches, "help"],
    string: [...names.filter((name) => specs[name].value !== null), "_"],
    alias: { h: "help", ...Object.hasOwn(specs, "output") && { o: "output" } },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      const typed = arg.replace(/=.*$/s, "");
      throw usage(command, `unknown flag ${quote(typed)}${didYouMean(typed.replace(/^-+/, ""), names, "--")}`);
    },
  });
  // parseArgs gives every switch a value; one that no word names was not given.
  const given = names.filter((name) => name in parsed && (specs[name].value !== null || isNamed(name, words)));
  return {
    flags: new Map(given.map((name) => [name, parsed[name] as string | boolean])),
    positionals: parsed._,
    help: parsed.help === true,
  };
}

function isNamed(name: string, words: readonly string[]): boolean {
  return words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
}

function flagValues<Flags extends CommandSpec["flags"]>(
  command: CommandName,
  specs: Flags,
  given: Map<string, string | boolean>,
  readFile: (path: string) => string,
): FlagValues<Flags> {
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) values[name] = spec.fallback;
  const file = given.get("config");
  if (file === "") throw usage(command, "--config takes the name of a file, got nothing");
  if (typeof file === "string" && specs.config === CONFIG_FLAG.config) {
    Object.assign(values, configValues(command, specs, file, readFile));
  }
  for (const [name, text] of given) values[name] = flagValue(command, `--${name}`, specs[name], text);
  return values as FlagValues<Flags>;
}

/** Flags from a file, checked as if they had been typed. */
function configValues(
  command: CommandName,
  specs: CommandSpec["flags"],
  file: string,
  readFile: (path: string) => string,
): Record<string, unknown> {
  let config: unknown;
  try {
    config = JSON.parse(readFile(file));
  } catch (error) {
    throw unreadable(command, file, error);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw usage(command, `${file}: expected a JSON object`);
  }
  const names = Object.keys(specs).filter((name) => name !== "config");
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      if (!names.includes(key)) throw usage(command, `${file}: unknown key ${quote(key)}${didYouMean(key, names)}`);
      const text = typeof value === "number" && specs[key].value !== null ? String(value) : value;
      return [key, flagValue(command, `${file}: ${quote(key)}`, specs[key], text)];
    }),
  );
}

/** `text` is unchecked: from a config file it may be anything. */
function flagValue(command: CommandName, name: string, spec: CommandSpec["flags"][string], text: unknown): unknown {
  if (spec.value === null) {
    if (typeof text !== "boolean") throw usage(command, `${name} takes true or false, got ${quote(text)}`);
    return text;
  }
  const value = typeof text === "string" ? spec.parse(text) : null;
  if (value === null) throw usage(command, mismatch(name, spec, text));
  return value;
}

/** Values of each positional argument, by name; an empty list for one not given. */
function positionalValues<Spec extends CommandSpec>(
  command: CommandName,
  { positionals }: Spec,
  words: readonly string[],
): Record<keyof Spec["positionals"], unknown[]> {
  const rest = [...words];
  const values = Object.entries(positionals).map(([key, { spec, required, repeated }]) => {
    if (required && rest.length === 0) throw usage(command, `${spec.value} is missing`);
    const taken = rest.splice(0, repeated ? rest.length : 1);
    return [
      key,
      taken.map((word, i) => {
        const value = spec.parse(word);
        if (value === null) throw usage(command, mismatch(spec.value, spec, word));
        if (taken.indexOf(word) !== i) throw usage(command, `${spec.value} ${quote(word)} is given twice`);
        return value;
      }),
    ];
  });
  if (rest.length > 0) throw usage(command, `unexpected argument ${quote(rest[0])}`);
  return Object.fromEntries(values);
}

/** @param parse of the language's subject: flows or events */
function checkFilter(
  command: CommandName,
  filter: string,
  { parse = parseFlowFilter, flag = "filter" }: { parse?: (text: string) => unknown; flag?: string } = {},
): void {
  if (filter === "") return;
  try {
    parse(filter);
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(command, `--${flag}: ${error.message}`);
    throw error;
  }
}

function mismatch(name: string, { takes }: ValueSpec<unknown>, text: unknown): string {
  return `${name} takes ${takes}, got ${text === "" ? "nothing" : quote(text)}`;
}

function unreadable(command: CommandName, file: string, error: unknown, flag = "config"): UsageError {
  return usage(command, `cannot read --${flag} ${quote(file)}: ${oneLine((error as Error).message)}`);
}

function usage(command: CommandName, mistake: string): UsageError {
  return new UsageError(`ebpfmon ${command}: ${mistake}; see ebpfmon ${command} --help`);
}

function didYouMean(word: string, names: readonly string[], prefix = ""): string {
  const name = nearest(word, names);
  return name === null ? "" : `, did you mean ${prefix}${name}?`;
}

/** Quoted as JSON is, which keeps a message on one line whatever was typed. */
function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : oneLine(JSON.stringify(value));
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
