/** Each program of each BPF object, loaded alone: which this kernel refuses, and how far the others are from its limits. */
import { assertEquals, assertGreater } from "../../assert.ts";
import { type Libbpf, openLibbpf } from "../../../lib/ffi/libbpf.ts";
import { differences, EXPECTED } from "../expected.ts";
import { subject } from "./subject.ts";
import { loadEachProgram, type LoadedProgram } from "./verified.ts";

/** Half of what the verifier looks at in all kernels: so much may be added before one refuses. */
const INSTRUCTIONS_MAX = 500_000;
/** Never loaded: it is there for its BTF. */
const LAYOUT_OBJECT = "layout_check.bpf.o";

/** By what compiled them: the folder below the guest's data. */
const COMPILERS = { "clang of Debian 12": "build/bpf", "newest clang": "build/bpf-newest" } as const;

type Programs = Record<keyof typeof COMPILERS, LoadedProgram[]>;

function loadAll(libbpf: Libbpf, folder: string): LoadedProgram[] {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".bpf.o"));
  return names.filter((name) => name !== LAYOUT_OBJECT).sort().flatMap((name) =>
    loadEachProgram(libbpf, name.replace(".bpf.o", ""), Deno.readFileSync(`${folder}/${name}`))
  );
}

/** Those that this kernel refuses, each with why in expected.json; which are refused is what is compared. */
function refused(programs: LoadedProgram[]): string[] {
  return programs.filter(({ refusal }) => refusal !== null).map(({ name }) => name).sort();
}

function assertRefusals(programs: LoadedProgram[], kernel: string): void {
  assertGreater(programs.length, 20);
  const seen = Object.fromEntries(refused(programs).map((name) => [name, true]));
  const table = Object.fromEntries(
    Object.entries(EXPECTED.refused).map(([name, kernels]) => [name, mapValues(kernels, () => true)]),
  );
  const reasons = Object.fromEntries(programs.map(({ name, refusal }) => [name, refusal]));
  const found = differences(table, kernel, seen);
  assertEquals(found.map((line) => `${line}: ${reasons[line.split(":")[0]] ?? "it loads"}`), []);
}

function mapValues<T, R>(record: Record<string, T>, map: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

export const programs = subject({
  name: "programs",
  limitSeconds: 150,
  gather(guest) {
    using libbpf = openLibbpf({ embeddedDir: `${guest.data}/build/app/lib` });
    const loaded = mapValues(COMPILERS, (folder) => loadAll(libbpf, `${guest.data}/${folder}`)) as Programs;
    for (const [compiler, all] of Object.entries(loaded)) {
      for (const { name, instructions, refusal } of all) {
        guest.fact("verified", `${name} (${compiler})`, refusal === null ? instructions : "refused");
      }
    }
    for (const { name, refusal } of loaded["clang of Debian 12"]) {
      if (refusal !== null) guest.fact("refused", name, refusal);
    }
    return Promise.resolve(loaded);
  },
  checks: {
    "those of Debian 12's clang load, but for what this kernel is known to refuse": (loaded, { kernel }) =>
      assertRefusals(loaded["clang of Debian 12"], kernel),
    "those of the newest clang load, but for what this kernel is known to refuse": (loaded, { kernel }) =>
      assertRefusals(loaded["newest clang"], kernel),
    "each stays below half of what the verifier looks at": (loaded) => {
      const large = Object.values(loaded).flat().filter(({ instructions }) => instructions > INSTRUCTIONS_MAX);
      assertEquals(large.map(({ name, instructions }) => `${name}: ${instructions}`), []);
    },
  },
});
