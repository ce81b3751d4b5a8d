/**
 * Runs all benches one after another, `make bench`, or those that are named: `make bench BENCH="packet_cost drain"`.
 * With `--check` each runs for about a second and checks its sums instead of measuring; `make test` does that. Machines
 * differ and are shared: quote the ratios.
 */
import { parseArgs } from "@std/cli/parse-args";
import { type BenchModule, BenchRun } from "./bench_run.ts";
import { BENCHES } from "./benches.ts";

const { check, _: names } = parseArgs(Deno.args, { boolean: ["check"], string: ["_"] });
const unknown = names.filter((name: string) => !BENCHES.some((known) => known === name));
if (unknown.length > 0) {
  console.error(`Cannot run ${unknown.join(", ")}: there are ${BENCHES.join(", ")}`);
  Deno.exit(2);
}
if (!check) console.log(`Deno ${Deno.version.deno}, Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} CPUs`);
for (const name of BENCHES) {
  if (names.length > 0 && !names.includes(name)) continue;
  const { bench }: BenchModule = await import(`./${name}.ts`);
  const run = new BenchRun({ isCheck: check });
  await bench(run);
  if (run.sums === 0) throw new Error(`Cannot trust bench ${name}: it checks no sum`);
  if (check) console.log(`${name}: ${run.sums} sums are right`);
}
