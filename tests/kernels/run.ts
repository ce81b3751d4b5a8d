/**
 * `make test-kernels`: boots Debian's kernels in qemu and runs the tests of guest/ in each. A line a test and kernel as
 * they come in, then a table, then one line with the sum; what is fetched is kept below build/kernels.
 *
 *     KERNELS="5.10 6.1"    these kernels only
 *     SUBJECTS=flows,top    these subjects of the tests only, and `install`, which the others need
 *     ARCH=x86_64           machine that is emulated
 *     UPDATE=1              writes expected.json anew from what was seen, for review
 *     CI=true               a kernel that cannot be fetched is a failure
 */
import { makeDataImage } from "./data_image.ts";
import { EXPECTED, type FeatureState, withColumn } from "./expected.ts";
import { bootGuest } from "./guest.ts";
import { chosenSubjects, SUBJECTS } from "./guest/list.ts";
import { testNames } from "./guest/subject.ts";
import { type KernelFiles, kernelFiles } from "./kernel_files.ts";
import { ARCHITECTURES, chosenKernels, type Kernel } from "./kernels.ts";
import { isGood, KernelResults, type KernelRow, parseGuestLine, renderColumns, renderResult, renderSum, renderTable, type Result } from "./results.ts";
import { rootImage } from "./root_image.ts";

/** Of one kernel's guest. The longest takes half of it on two processors. */
const GUEST_LIMIT_MS = 12 * 60_000;
/** Of the whole run, fetching included. */
const RUN_LIMIT_MS = 25 * 60_000;
/** Each has two processors of its own to emulate. */
const GUESTS_AT_ONCE = 2;
const EXPECTED_FILE = "tests/kernels/expected.json";

const setting = (name: string): string => Deno.env.get(name) ?? "";

/** What guests found, by table: row, then kernel. */
type Facts = Map<string, Map<string, Map<string, unknown>>>;

const architecture = ARCHITECTURES[setting("ARCH") || Deno.build.arch];
if (architecture === undefined) {
  throw new RangeError(
    `Cannot test kernels on "${setting("ARCH")}": ARCH takes ${Object.keys(ARCHITECTURES).join(", ")}`,
  );
}
const kernels = chosenKernels(setting("KERNELS"), architecture);
const chosen = setting("SUBJECTS").split(/[\s,]+/).filter((name) => name !== "");
const subjects = chosenSubjects(chosen);
const unknown = chosen.filter((name) => !SUBJECTS.some((subject) => subject.name === name));
if (unknown.length > 0) {
  throw new RangeError(
    `Cannot test ${unknown.join(", ")}: SUBJECTS takes ${SUBJECTS.map(({ name }) => name).join(", ")}`,
  );
}

const startMs = performance.now();
const cache = `build/kernels/${architecture.name}`;
const logs = "build/kernels/log";
await Deno.mkdir(cache, { recursive: true });
await Deno.mkdir(logs, { recursive: true });

const results: Result[] = [];
const rows: KernelRow[] = [];
const facts: Facts = new Map();

function keepFact(kernel: Kernel, { table, row, value }: { table: string; row: string; value: unknown }): void {
  const ofTable = facts.get(table) ?? new Map();
  facts.set(table, ofTable);
  ofTable.set(row, (ofTable.get(row) ?? new Map()).set(kernel.name, value));
}

/** Fetches a kernel. @returns null where it cannot be had; the results say so */
async function fetchKernel(kernel: Kernel): Promise<KernelFiles | null> {
  try {
    return await kernelFiles(cache, kernel, architecture);
  } catch (error) {
    const outcome = setting("CI") === "true" ? "failed" : "skipped";
    const detail = `kernel not fetched: ${(error as Error).message}`;
    const result: Result = { kernel: kernel.name, test: "all tests", outcome, detail };
    results.push(result);
    rows.push({ kernel: kernel.name, release: "", seconds: 0 });
    console.log(renderResult(result));
    return null;
  }
}

async function testKernel(kernel: Kernel, files: KernelFiles, images: { root: string; data: string }): Promise<void> {
  const began = performance.now();
  const own = new KernelResults(kernel.name, testNames(subjects));
  const consoleLog = `${logs}/${kernel.name}.console`;
  const lines: string[] = [];
  const limitMs = Math.min(GUEST_LIMIT_MS, startMs + RUN_LIMIT_MS - performance.now());
  const boot = { architecture, files, ...images, consoleLog, limitMs, arguments: guestArguments(kernel) };
  const end = await bootGuest(boot, (text) => {
    lines.push(text);
    const line = parseGuestLine(text);
    if (line?.kind === "result") console.log(renderResult(own.take(line)));
    if (line?.kind === "fact") keepFact(kernel, line);
  });
  for (const result of own.finish(end)) console.log(renderResult(result));
  await Deno.writeTextFile(`${logs}/${kernel.name}.results`, lines.join("\n") + "\n");
  results.push(...own.results);
  rows.push({ kernel: kernel.name, release: files.release, seconds: (performance.now() - began) / 1000 });
}

function guestArguments(kernel: Kernel): string[] {
  return [kernel.name, "/data", chosen.length === 0 ? "" : subjects.map(({ name }) => name).join(",")];
}

/** Verified instructions of each program, by kernel. */
async function writeVerified(): Promise<void> {
  const table = facts.get("verified");
  if (table === undefined) return;
  const head = ["program", ...kernels.map(({ name }) => name)];
  const body = [...table].map((
    [row, columns],
  ) => [row, ...kernels.map(({ name }) => String(columns.get(name) ?? "-"))]);
  await Deno.writeTextFile("build/kernels/verified.txt", renderColumns([head, ...body.sort()]) + "\n");
}

async function updateExpected(): Promise<void> {
  const expected = structuredClone(EXPECTED);
  for (const { name } of kernels) {
    const seen = (table: string) =>
      Object.fromEntries(
        [...facts.get(table) ?? []].flatMap(([row, columns]) => columns.has(name) ? [[row, columns.get(name)]] : []),
      );
    // A guest that did not come so far says nothing about what is expected of it.
    const reported = (table: string) => Object.keys(seen(table)).length > 0;
    if (reported("exit")) {
      expected.features = withColumn(expected.features, name, seen("features") as Record<string, FeatureState>);
      expected.commands = withColumn(expected.commands, name, seen("commands") as Record<string, string>);
      expected.exit = withColumn(expected.exit, name, seen("exit") as Record<string, number>);
    }
    if (reported("verified")) {
      // A reason that somebody has written down is better than the verifier's.
      const reason = ([row, said]: [string, unknown]) => [row, expected.refused[row]?.[name] ?? said];
      const refused = Object.fromEntries(Object.entries(seen("refused")).map(reason));
      expected.refused = withColumn(expected.refused, name, refused as Record<string, string>);
    }
  }
  await Deno.writeTextFile(EXPECTED_FILE, JSON.stringify(expected, null, 2) + "\n");
  console.log(`wrote ${EXPECTED_FILE}: look at what changed before you keep it`);
}

const data = `${cache}/data.img`;
const root = await rootImage(cache, architecture);
await makeDataImage(`${cache}/data`, data, architecture);
// Kernels are fetched one after another, and booted as soon as there is one.
const waiting = [...kernels];
let fetching = Promise.resolve();
async function work(): Promise<void> {
  for (let kernel = waiting.shift(); kernel !== undefined; kernel = waiting.shift()) {
    const next = kernel;
    const files = fetching.then(() => fetchKernel(next));
    fetching = files.then(() => {});
    const found = await files;
    if (found !== null) await testKernel(next, found, { root, data });
  }
}
await Promise.all(Array.from({ length: GUESTS_AT_ONCE }, work));

await writeVerified();
if (setting("UPDATE") === "1") await updateExpected();
const order = kernels.map(({ name }) => name);
rows.sort((a, b) => order.indexOf(a.kernel) - order.indexOf(b.kernel));
console.log(`\n${renderTable(rows, results)}\n`);
// Said again, because the lines above may be far away, or cut from a long log.
for (const result of results.filter(({ outcome }) => outcome === "failed")) console.log(renderResult(result));
console.log(`logs are in ${logs}; ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
console.log(renderSum(results));
Deno.exit(isGood(results) ? 0 : 1);
