/**
 * Events of one agent that a server has acknowledged, a second; and from when an event was made to its acknowledgement
 * at 10,000 events a second without a flush interval. Agent and server are processes that share this machine; the store
 * forgets. Events are those of tests/support/fleet_events.ts: seven types, half of them enriched.
 */
import type { AgentProgramOptions, AgentProgramResult } from "../tests/support/fleet_agent_program.ts";
import { CertificateFolder } from "../tests/support/fleet_certificates.ts";
import { AgentProgram, ServerProgram } from "../tests/support/fleet_programs.ts";
import { FULL_LOAD, STEADY_LOAD } from "./fleet_load.ts";
import { median } from "./support.ts";

const EVENTS = 600_000;
const ROUNDS = 3;
const STEADY_EVENTS = 60_000;

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

export async function benchFleet(): Promise<void> {
  console.log(`\nFleet: ${EVENTS} events from one agent, acknowledged; median of ${ROUNDS}`);
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const server = await folder.issue("ca", "server");
  const client = await folder.issue("ca", "agent-1");

  async function measure(variant: Variant, options: Partial<AgentProgramOptions>): Promise<AgentProgramResult> {
    const tls = variant.tls ? { ...server, ca } : null;
    await using program = await ServerProgram.start({ listen: { host: "127.0.0.1", port: 0 }, tls });
    await using agent = AgentProgram.start({
      link: {
        servers: [{ host: "127.0.0.1", port: program.port }],
        tls: variant.tls ? { ...client, ca } : null,
        gzip: variant.gzip,
      },
      ...FULL_LOAD,
      to: EVENTS,
      ...options,
    });
    return await agent.result();
  }

  let plain = NaN;
  for (const variant of VARIANTS) {
    const rates: number[] = [];
    let rssBytesMax = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const { seconds, rssBytesMax: rss } = await measure(variant, {});
      rates.push(EVENTS / seconds);
      rssBytesMax = Math.max(rssBytesMax, rss);
    }
    const rate = median(rates);
    if (variant.name === "plain") plain = rate;
    const steady = { ...STEADY_LOAD, to: STEADY_EVENTS };
    const { latencyMs, cpuSeconds, seconds } = await measure(variant, steady);
    console.log(
      `   ${variant.name.padEnd(12)} ${Math.round(rate)} events/s (${
        (rate / plain).toFixed(2)
      } of plain), agent at most ` +
        `${Math.round(rssBytesMax / 2 ** 20)} MiB; at ${STEADY_LOAD.rate}/s p50 ${latencyMs.p50.toFixed(1)} ms, ` +
        `p99 ${latencyMs.p99.toFixed(1)} ms, agent's CPU ${Math.round(cpuSeconds / seconds * 100)} %`,
    );
  }
}

if (import.meta.main) await benchFleet();
