/**
 * Events of one agent that a server has acknowledged, a second; and from when an event was made to its acknowledgement
 * at 10,000 events a second without a flush interval. Agent and server are processes that share this machine; the store
 * forgets, but for a check. Events are those of tests/support/fleet_events.ts: seven types, half of them enriched.
 */
import type { AgentProgramOptions, AgentProgramResult } from "../tests/support/fleet_agent_program.ts";
import { CertificateFolder } from "../tests/support/fleet_certificates.ts";
import { TestFolder } from "../tests/support/fleet_cli.ts";
import { readBatches } from "../tests/support/fleet_file_store.ts";
import { AgentProgram, ServerProgram } from "../tests/support/fleet_programs.ts";
import { FULL_LOAD, STEADY_LOAD } from "./fleet_load.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

interface Variant {
  name: string;
  tls: boolean;
  gzip: boolean;
}

const VARIANTS: Variant[] = [
  { name: "plain", tls: false, gzip: false },
  { name: "mTLS", tls: true, gzip: false },
  { name: "mTLS + gzip", tls: true, gzip: true },
];

export async function bench(run: BenchRun): Promise<void> {
  const events = run.pick(600_000, 5_000);
  const rounds = run.pick(3, 1);
  run.report(`\nFleet: ${events} events from one agent, acknowledged; median of ${rounds}`);
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const server = await folder.issue("ca", "server");
  const client = await folder.issue("ca", "agent-1");

  async function measure(variant: Variant, options: Partial<AgentProgramOptions>): Promise<AgentProgramResult> {
    const tls = variant.tls ? { ...server, ca } : null;
    await using store = new TestFolder();
    const storePath = `${store.path}/store`;
    await using program = await ServerProgram.start({
      listen: { host: "127.0.0.1", port: 0 },
      tls,
      ...run.isCheck && { storePath },
    });
    await using agent = AgentProgram.start({
      link: {
        servers: [{ host: "127.0.0.1", port: program.port }],
        tls: variant.tls ? { ...client, ca } : null,
        gzip: variant.gzip,
      },
      ...FULL_LOAD,
      to: events,
      ...options,
    });
    const result = await agent.result();
    const made = options.to ?? events;
    run.equal("the number of events that were sent", result.link.sentEvents, made);
    if (run.isCheck) {
      const { batches } = readBatches(storePath);
      const numbers = batches.flatMap((batch) => batch.numbers).sort((a, b) => a - b);
      const missing = numbers.findIndex((number, i) => number !== i);
      run.equal("the number of events that the store has", numbers.length, made);
      run.equal("the place of the first event that the store has not once", missing, -1);
      run.equal("the number of damaged events", batches.reduce((sum, { damaged }) => sum + damaged, 0), 0);
    }
    return result;
  }

  let plain = NaN;
  for (const variant of VARIANTS) {
    const rates: number[] = [];
    let rssBytesMax = 0;
    for (let round = 0; round < rounds; round++) {
      const { seconds, rssBytesMax: rss } = await measure(variant, {});
      rates.push(events / seconds);
      rssBytesMax = Math.max(rssBytesMax, rss);
    }
    const rate = median(rates);
    if (variant.name === "plain") plain = rate;
    if (run.isCheck && variant !== VARIANTS[0]) continue;
    const steady = { ...STEADY_LOAD, to: run.pick(60_000, 1_000) };
    const { latencyMs, cpuSeconds, seconds } = await measure(variant, steady);
    run.report(
      `   ${variant.name.padEnd(12)} ${Math.round(rate)} events/s (${
        (rate / plain).toFixed(2)
      } of plain), agent at most ` +
        `${Math.round(rssBytesMax / 2 ** 20)} MiB; at ${STEADY_LOAD.rate}/s p50 ${latencyMs.p50.toFixed(1)} ms, ` +
        `p99 ${latencyMs.p99.toFixed(1)} ms, agent's CPU ${Math.round(cpuSeconds / seconds * 100)} %`,
    );
  }
}
