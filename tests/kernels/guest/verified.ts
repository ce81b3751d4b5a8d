/** Loads programs one by one and reads from the verifier's log how many instructions it went through. */
import { BpfObject } from "../../../lib/ffi/bpf_object.ts";
import type { Libbpf } from "../../../lib/ffi/libbpf.ts";

export interface LoadedProgram {
  /** `OBJECT PROGRAM` */
  name: string;
  /** That the verifier went through; 0 for one that it refused. */
  instructions: number;
  /** The last line of the verifier or libbpf; null for one that loads. */
  refusal: string | null;
}

/** `processed 7384 insns (limit 1000000) ...` */
const PROCESSED = /^processed (\d+) insns/m;

function lastLine(log: string): string {
  const lines = log.trim().split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !PROCESSED.test(line)
  );
  // libbpf's own lines say that it failed, and where they are all there is, why.
  const verifier = lines.filter((line) => !/^libbpf: |^--|^stack depth|^verification time/.test(line));
  return (verifier.at(-1) ?? lines[0] ?? "no reason given").slice(0, 200);
}

function loadAlone(libbpf: Libbpf, object: string, elf: Uint8Array<ArrayBuffer>, program: string): LoadedProgram {
  const name = `${object} ${program}`;
  using opened = BpfObject.open(libbpf, object, elf, { statistics: true });
  for (const other of opened.programNames()) opened.setAutoload(other, other === program);
  try {
    opened.load();
  } catch (error) {
    const { log } = (error as Error).cause as { log?: string } ?? {};
    return { name, instructions: 0, refusal: lastLine(log ?? (error as Error).message) };
  }
  const [, instructions] = PROCESSED.exec(opened.verifierLog()) ?? [];
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
