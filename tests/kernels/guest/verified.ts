/**
 * Loads programs one by one and reads from the verifier's log how many instructions it went through. What a program's
 * constants rule out the verifier does not look at, so each is loaded with every setting that makes it do more.
 */
import { BpfObject } from "../../../lib/ffi/bpf_object.ts";
import { type StructLayout, writeField } from "../../../lib/wire/layout.ts";
import { FLOW_RODATA, PROCESS_HASH_RODATA, PROCESS_RAW_RODATA, PROCESS_RODATA, ROUTER_RAW_RODATA, ROUTER_RODATA, SOCKET_OWNER_RODATA } from "../../../lib/wire/layouts.gen.ts";
import type { Libbpf } from "../../../lib/ffi/libbpf.ts";

/** Constants that a run may set before it loads an object. */
interface Setting {
  /** Behind the program's name; empty for the object as it was compiled. */
  name: string;
  rodata?: StructLayout;
  values?: Record<string, unknown>;
  /** The programs that are ever used that way; all where it is absent. */
  used?: (program: string) => boolean;
}

const AS_COMPILED: Setting = { name: "" };
const isCall = (program: string) => program.startsWith("call_");
const EVERYTHING_ASKED = {
  isolate_pids: true,
  isolate_cgroups: true,
  filter_pid: true,
  filter_uid: true,
  filter_comm: true,
};

/** Those of objects that have any. */
const SETTINGS: Readonly<Record<string, readonly Setting[]>> = {
  flow: [
    { name: "", used: (program) => program !== "replay_tcx" },
    { name: ", per CPU", rodata: FLOW_RODATA, values: { per_cpu_values: true }, used: (it) => it !== "replay_tcx" },
    {
      name: ", of a capture",
      rodata: FLOW_RODATA,
      values: { replays: true },
      used: (program) => ["replay_tcx", "ingress_tcx"].includes(program),
    },
  ],
  // Programs of kprobes have no typed pointer to a socket, so they never use its storage.
  socket_owner: [
    { name: "", used: (program) => !isCall(program) },
    { name: ", by address", rodata: SOCKET_OWNER_RODATA, values: { by_address: true } },
  ],
  router: [AS_COMPILED, { name: ", isolating", rodata: ROUTER_RODATA, values: EVERYTHING_ASKED }],
  router_raw: [AS_COMPILED, { name: ", isolating", rodata: ROUTER_RAW_RODATA, values: EVERYTHING_ASKED }],
  process: [AS_COMPILED, { name: ", sampling", rodata: PROCESS_RODATA, values: { sampling: 16 } }],
  process_hash: [AS_COMPILED, { name: ", sampling", rodata: PROCESS_HASH_RODATA, values: { sampling: 16 } }],
  process_raw: [
    AS_COMPILED,
    {
      name: ", sampling",
      rodata: PROCESS_RAW_RODATA,
      values: { sampling: 16, machine_has_x32: true, compat_offset: 16, compat_bit: 2 },
    },
  ],
};

export interface LoadedProgram {
  /** `OBJECT PROGRAM`, then the setting that it was loaded with */
  name: string;
  /** That the verifier went through; 0 for one that it refused. */
  instructions: number;
  /** What the verifier or libbpf said at last; null for one that loads. */
  refusal: string | null;
}

/** `processed 7384 insns (limit 1000000) ...` */
const PROCESSED = /^processed (\d+) insns/m;

/** What says that it failed and not why. */
const NO_REASON = /^libbpf: |^--|^stack depth|^verification time|^insns processed|^processed \d+ insns/;

function reasonOf(log: string): string {
  const lines = log.trim().split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const verifier = lines.filter((line) => !NO_REASON.test(line)).at(-1);
  // Where the verifier was not asked, the first of libbpf's complaints is the reason for the others.
  const libbpf = lines.find((line) => /^libbpf: .*(fail|cannot|can't|unsupported|not )/i.test(line));
  return (verifier ?? libbpf ?? lines.at(-1) ?? "no reason given").slice(0, 200);
}

interface Attempt {
  object: string;
  elf: Uint8Array<ArrayBuffer>;
  program: string;
  setting: Setting;
}

/** Loads one program of an object. @returns whether it loads, and what the verifier and libbpf said */
function load(
  libbpf: Libbpf,
  { object, elf, program, setting: { rodata: layout, values } }: Attempt,
  statistics: boolean,
): { loaded: boolean; log: string } {
  using opened = BpfObject.open(libbpf, object, elf, { statistics });
  for (const other of opened.programNames()) opened.setAutoload(other, other === program);
  if (layout !== undefined) {
    const rodata = opened.initialValue(".rodata");
    for (const [name, value] of Object.entries(values ?? {})) writeField(rodata, layout, name, value as never);
  }
  try {
    opened.load();
    return { loaded: true, log: opened.verifierLog() };
  } catch (error) {
    const { log } = (error as Error).cause as { log?: string } ?? {};
    return { loaded: false, log: log ?? (error as Error).message };
  }
}

function loadAlone(libbpf: Libbpf, attempt: Attempt): LoadedProgram {
  const name = `${attempt.object} ${attempt.program}${attempt.setting.name}`;
  const { loaded, log } = load(libbpf, attempt, true);
  if (!loaded) {
    // With statistics there is nothing else in the log.
    return { name, instructions: 0, refusal: reasonOf(load(libbpf, attempt, false).log) };
  }
  const [, instructions] = PROCESSED.exec(log) ?? [];
  if (instructions === undefined) throw new Error(`Cannot tell how ${name} was verified: the log has no count`);
  return { name, instructions: Number(instructions), refusal: null };
}

/** Each program of an object in an object of its own, with each setting that it is used with. */
export function loadEachProgram(libbpf: Libbpf, object: string, elf: Uint8Array<ArrayBuffer>): LoadedProgram[] {
  const programs = (() => {
    using opened = BpfObject.open(libbpf, object, elf);
    return opened.programNames();
  })();
  return (SETTINGS[object] ?? [AS_COMPILED]).flatMap((setting) =>
    programs.filter((program) => setting.used?.(program) ?? true)
      .map((program) => loadAlone(libbpf, { object, elf, program, setting }))
  );
}
