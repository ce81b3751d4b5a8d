/** Loads programs one by one and reads from the verifier's log how many instructions it went through. */
import { BpfObject } from "../../../lib/ffi/bpf_object.ts";
import type { Libbpf } from "../../../lib/ffi/libbpf.ts";

export interface LoadedProgram {
  /** `OBJECT PROGRAM` */
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

/** Loads one program of an object. @returns whether it loads, and what the verifier and libbpf said */
function load(
  libbpf: Libbpf,
  { object, elf, program }: { object: string; elf: Uint8Array<ArrayBuffer>; program: string },
  statistics: boolean,
): { loaded: boolean; log: string } {
  using opened = BpfObject.open(libbpf, object, elf, { statistics });
  for (const other of opened.programNames()) opened.setAutoload(other, other === program);
  try {
    opened.load();
    return { loaded: true, log: opened.verifierLog() };
  } catch (error) {
    const { log } = (error as Error).cause as { log?: string } ?? {};
    return { loaded: false, log: log ?? (error as Error).message };
  }
}

function loadAlone(libbpf: Libbpf, object: string, elf: Uint8Array<ArrayBuffer>, program: string): LoadedProgram {
  const name = `${object} ${program}`;
  const { loaded, log } = load(libbpf, { object, elf, program }, true);
  if (!loaded) {
    // With statistics there is nothing else in the log.
    return { name, instructions: 0, refusal: reasonOf(load(libbpf, { object, elf, program }, false).log) };
  }
  const [, instructions] = PROCESSED.exec(log) ?? [];
  if (instructions === undefined) throw new Error(`Cannot tell how ${name} was verified: the log has no count`);
  return { name, instructions: Number(instructions), refusal: null };
}

/** Each program of an object in an object of its own. */
export function loadEachProgram(libbpf: Libbpf, object: string, elf: Uint8Array<ArrayBuffer>): LoadedProgram[] {
  const names = (() => {
    using opened = BpfObject.open(libbpf, object, elf);
    return opened.programNames();
  })();
  return names.map((program) => loadAlone(libbpf, object, elf, program));
}
