/**
 * Which of the router's programs this kernel takes: those of bpf/router.bpf.c by the kernel's BTF, else those of
 * bpf/router_raw.bpf.c, and for each source of events how it is watched, or why it is not.
 */
import { PrivilegeError, UnsupportedError } from "../runtime/errors.ts";
import { EVENT_TYPES, type EventType } from "../events/event.ts";
import type { KernelSource } from "../events/types/kernel_source.ts";
import { descriptionOf } from "../events/types/mod.ts";
import { BpfObject } from "../ffi/bpf_object.ts";
import { type StructLayout, writeField } from "../wire/layout.ts";
import { ROUTER_BSS, ROUTER_RAW_BSS, ROUTER_RAW_RODATA, ROUTER_RODATA } from "../wire/layouts.gen.ts";
import { hasKernelBtf } from "../ffi/kernel_btf.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import { loadReason } from "../ffi/load_failure.ts";
import { loadVariants } from "../ffi/program_variants.ts";
import { type Machine, syscallNumber } from "../wire/syscalls.ts";
import { tracepointFault } from "../ffi/tracepoint_format.ts";

/** The compiled programs. */
export interface RouterElfs {
  /** bpf/router.bpf.c */
  btf: Uint8Array<ArrayBuffer>;
  /** bpf/router_raw.bpf.c */
  raw: Uint8Array<ArrayBuffer>;
}

/** @param assetsDir where the BPF objects are, in its folder `bpf` */
export function readRouterElfs(assetsDir: string): RouterElfs {
  const read = (name: string) => Deno.readFileSync(`${assetsDir}/bpf/${name}.bpf.o`);
  return { btf: read("router"), raw: read("router_raw") };
}

interface RouterObject {
  name: "router" | "router_raw";
  elf: keyof RouterElfs;
  /** What a kernel without these programs needs. */
  remedy: string;
  rodata: StructLayout;
  rules: { offset: number };
}

const BTF_OBJECT: RouterObject = {
  name: "router",
  elf: "btf",
  remedy: 'run "ebpfmon doctor --debug" for the verifier\'s log and report it',
  rodata: ROUTER_RODATA,
  rules: ROUTER_BSS.fields["rules.generation"],
};

const RAW_OBJECT: RouterObject = {
  name: "router_raw",
  elf: "raw",
  remedy: "a kernel with CONFIG_DEBUG_INFO_BTF",
  rodata: ROUTER_RAW_RODATA,
  rules: ROUTER_RAW_BSS.fields["rules.generation"],
};

/** Programs that userspace runs itself. */
const HELPERS = ["flush_repeats", "identify"];

/** A type of event of which not everything is watched. */
export interface LackingSource {
  source: EventType;
  /** What is not seen, and why; one line without the verifier's text. */
  why: string;
  /** What to do about it. */
  remedy: string;
}

export interface LoadedRouter {
  object: BpfObject;
  /** Programs to attach. */
  programs: readonly string[];
  /** Type of event to how it is watched, in the order of EVENT_TYPES; a type that is not watched is left out. */
  ways: ReadonlyMap<EventType, string>;
  /**
   * Type of event to what events of it lack on this kernel, for people; a type whose events lack nothing is left out.
   */
  limits: ReadonlyMap<EventType, string>;
  lacking: readonly LackingSource[];
  /** What events lack that a kernel with BTF would tell; one line each. */
  notices: readonly string[];
  /** Where the object's .bss has the generation of the rules. */
  rulesOffset: number;
}

/** Fills in the settings of bpf/router_record.h; `set` knows where each is. */
export type Configure = (object: BpfObject, set: (name: string, value: unknown) => void) => void;

/** The numbers of execve and execveat that arm64's 32-bit programs use; no table here has them. */
const AARCH32_EXECS = [11, 387];
const NO_NUMBER = 0xffff_ffff;

const PROG_TYPE_RAW_TRACEPOINT = 17;
const FUNC_GET_CURRENT_TASK_BTF = 158;
/** `thread_status_at` of bpf/raw_registers.h. */
const STATUS_AT = { before: 8, since: 16 };

/**
 * Loads the programs that the sources need, the best that this kernel takes.
 *
 * @throws {PrivilegeError}
 * @throws {UnsupportedError} when the kernel takes none of the programs
 */
export function loadRouter(
  libbpf: Libbpf,
  elfs: RouterElfs,
  sources: readonly EventType[],
  configure: Configure,
): LoadedRouter {
  const attempt = (object: RouterObject) => tryObject(libbpf, elfs, object, sources, configure);
  const btf = attempt(BTF_OBJECT);
  if (!(btf instanceof Error) && btf.undone.length === 0) return describe(BTF_OBJECT, btf, sources);
  const raw = attempt(RAW_OBJECT);
  if (btf instanceof Error) {
    if (!(raw instanceof Error)) return describe(RAW_OBJECT, raw, sources);
    const reasons = [...new Set([loadReason(btf), loadReason(raw)])];
    const message = `Cannot watch events: ${reasons.join("; without the kernel's BTF: ")}`;
    throw new UnsupportedError(message, { cause: btf.cause ?? btf });
  }
  if (raw instanceof Error) return describe(BTF_OBJECT, btf, sources);
  const [[object, better], [, worse]] = raw.undone.length < btf.undone.length
    ? [[RAW_OBJECT, raw], [BTF_OBJECT, btf]] as const
    : [[BTF_OBJECT, btf], [RAW_OBJECT, raw]] as const;
  worse.loaded[Symbol.dispose]();
  return describe(object, better, sources);
}

type Loaded = ReturnType<typeof loadVariants<BpfObject, string>>;

/** @returns why the kernel takes none of the object's programs @throws {PrivilegeError} */
function tryObject(
  libbpf: Libbpf,
  elfs: RouterElfs,
  object: RouterObject,
  sources: readonly EventType[],
  configure: Configure,
): Loaded | Error {
  const all = kernelSourcesOf(sources);
  const [usable, unusable] = [true, false].map((has) => all.filter((source) => source[object.elf].length > 0 === has));
  if (usable.length === 0) return new UnsupportedError(noBtf());
  const jobs = usable.map((source) => ({
    job: source.name,
    variants: source[object.elf].map(({ programs }) => programs),
  }));
  try {
    const loaded = loadVariants(jobs, (programs) => loadPrograms(libbpf, elfs, object, programs, configure));
    const undone = unusable.map(({ name }) => ({ job: name, error: new UnsupportedError(noBtf()) }));
    return { ...loaded, undone: [...loaded.undone, ...undone] };
  } catch (error) {
    if (error instanceof PrivilegeError || !(error instanceof Error)) throw error;
    return error;
  }
}

/** What in the kernel tells of these types of events, each once. */
function kernelSourcesOf(types: readonly EventType[]): KernelSource[] {
  return [
    ...new Set(EVENT_TYPES.filter((type) => types.includes(type)).flatMap((type) => descriptionOf(type).sources)),
  ];
}

/** The types of events that a source tells of. */
function typesOf(source: KernelSource): EventType[] {
  return EVENT_TYPES.filter((type) => descriptionOf(type).sources.includes(source));
}

function loadPrograms(
  libbpf: Libbpf,
  elfs: RouterElfs,
  { name, elf, rodata: layout }: RouterObject,
  programs: readonly string[],
  configure: Configure,
): BpfObject {
  const sets = kernelSourcesOf(EVENT_TYPES).flatMap((source) => source[elf]);
  for (const { programs: [program], tracepoint } of sets) {
    if (tracepoint === undefined || !programs.includes(program)) continue;
    const fault = tracepointFault(tracepoint.category, tracepoint.name, tracepoint.fields);
    if (fault) throw new UnsupportedError(fault);
  }
  using stack = new DisposableStack();
  const object = stack.use(BpfObject.open(libbpf, name, elfs[elf]));
  for (const program of object.programNames()) {
    object.setAutoload(program, programs.includes(program) || HELPERS.includes(program));
  }
  const rodata = object.initialValue(".rodata");
  const set = (field: string, value: unknown) => writeField(rodata, layout, field, value as never);
  configure(object, set);
  if (name === "router_raw") configureRaw(libbpf, set);
  object.load();
  stack.move();
  return object;
}

function configureRaw(libbpf: Libbpf, set: (name: string, value: unknown) => void): void {
  const machine = Deno.build.arch as Machine;
  const numbers = (table: Machine | "i386") =>
    ["execve", "execveat"].map((call) => syscallNumber(table, call) ?? NO_NUMBER);
  const knowsTypedTask =
    libbpf.symbols.libbpf_probe_bpf_helper(PROG_TYPE_RAW_TRACEPOINT, FUNC_GET_CURRENT_TASK_BTF, null) === 1;
  set("arm64", machine === "aarch64");
  set("thread_status_at", knowsTypedTask ? STATUS_AT.since : STATUS_AT.before);
  set("exec_numbers", numbers(machine));
  set("compat_exec_numbers", machine === "x86_64" ? numbers("i386") : AARCH32_EXECS);
}

function describe(
  object: RouterObject,
  { loaded, programs, variantOf, undone }: Loaded,
  sources: readonly EventType[],
): LoadedRouter {
  const waysBySource = new Map<EventType, string[]>();
  const without: string[] = [];
  const limits = new Map<EventType, string>();
  const kernelSources = kernelSourcesOf(sources);
  for (const kernelSource of kernelSources) {
    const variant = variantOf.get(kernelSource.name);
    const way = kernelSource[object.elf].find((it) => it.programs === variant);
    if (!way) continue;
    if (way.without) without.push(way.without);
    for (const source of typesOf(kernelSource)) {
      const limit = way.without ?? way.limit;
      if (limit) limits.set(source, limit);
      const ways = waysBySource.get(source) ?? [];
      if (!ways.includes(way.way)) waysBySource.set(source, [...ways, way.way]);
    }
  }
  const ways = EVENT_TYPES
    .filter((source) => sources.includes(source) && waysBySource.has(source))
    .map((source) => [source, waysBySource.get(source)!.join("; ")] as const);
  const lacking = undone.flatMap(({ job, error }) => {
    const kernelSource = kernelSources.find(({ name }) => name === job)!;
    const why = `${kernelSource.unseen} are not seen: ${loadReason(error)}`;
    return typesOf(kernelSource).filter((source) => sources.includes(source)).map((source) => ({
      source,
      why,
      remedy: remedyOf(error, object),
    }));
  });
  const notices = without.length === 0 ? [] : [`${noBtf()}: ${without.join(", ")}`];
  return {
    object: loaded,
    programs,
    ways: new Map(ways),
    limits,
    lacking,
    notices,
    rulesOffset: object.rules.offset,
  };
}

function noBtf(): string {
  return hasKernelBtf()
    ? "this kernel refuses programs that use its BTF"
    : "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
}

function remedyOf(error: Error, { remedy }: RouterObject): string {
  return error.message.includes("tracefs") ? "mount -t tracefs tracefs /sys/kernel/tracing, as root" : remedy;
}
