/**
 * What `ebpfmon serve` acknowledges of one agent, a second, where it stores and correlates: by itself with a store on
 * disk, and through JetStream with one node and three. Agent, server and NATS share this machine.
 */
import type { AgentProgramOptions, AgentProgramResult } from "../tests/support/fleet_agent_program.ts";
import { CertificateFolder } from "../tests/support/fleet_certificates.ts";
import { eventually, FleetServe, TestFolder } from "../tests/support/fleet_cli.ts";
import { AgentProgram } from "../tests/support/fleet_programs.ts";
import { NatsServers } from "../tests/support/nats_servers.ts";
import { FULL_LOAD, STEADY_LOAD } from "./fleet_load.ts";
import type { BenchRun } from "./bench_run.ts";

interface Variant {
  name: string;
  tls: boolean;
  gzip: boolean;
  /** Nodes of NATS; 0: none. */
  nodes: number;
}

const VARIANTS: Variant[] = [
  { name: "plain", tls: false, gzip: false, nodes: 0 },
  { name: "mTLS", tls: true, gzip: false, nodes: 0 },
  { name: "mTLS + gzip", tls: true, gzip: true, nodes: 0 },
  { name: "NATS, 1 node", tls: false, gzip: false, nodes: 1 },
  { name: "NATS, 3 nodes", tls: false, gzip: false, nodes: 3 },
];

export async function bench(run: BenchRun): Promise<void> {
  const events = run.pick(300_000, 3_000);
  run.report(`\nServe: ${events} events from one agent, stored and acknowledged`);
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const certificate = await folder.issue("ca", "server");
  const client = await folder.issue("ca", "agent-1");

  async function measure(variant: Variant, options: Partial<AgentProgramOptions>): Promise<AgentProgramResult> {
    await using store = new TestFolder();
    await using nats = variant.nodes > 0 ? await NatsServers.start(store.path, variant.nodes) : null;
    const { cert, key } = certificate;
    const tls = variant.tls ? ["--tls-ca", ca, "--tls-cert", cert, "--tls-key", key] : [];
    const shared = nats ? ["--nats", nats.urls, "--nats-replicas", String(variant.nodes)] : [];
    await using server = await new FleetServe(store.path, [...tls, ...shared]).start();
    await using agent = AgentProgram.start({
      link: {
        servers: [{ host: "127.0.0.1", port: server.grpcPort }],
        tls: variant.tls ? { ...client, ca } : null,
        gzip: variant.gzip,
      },
      ...FULL_LOAD,
      to: events,
      ...options,
    });
    const result = await agent.result();
    const made = options.to ?? events;
    const stored = async () => (await server.get("/api/v1/agents")).agents[0]?.events ?? 0;
    run.equal("the number of events that were sent", result.link.sentEvents, made);
    await eventually(async () => await stored() >= made, () => `store of ${made} events`);
    run.equal("the number of events that the store has", await stored(), made);
    return result;
  }

  let plain = NaN;
  for (const variant of VARIANTS) {
    const { seconds, rssBytesMax } = await measure(variant, {});
    const rate = events / seconds;
    if (variant.name === "plain") plain = rate;
    if (run.isCheck && variant !== VARIANTS[0]) continue;
    const { latencyMs } = await measure(variant, { ...STEADY_LOAD, to: run.pick(50_000, 1_000) });
    run.report(
      `   ${variant.name.padEnd(14)} ${Math.round(rate)} events/s (${(rate / plain).toFixed(2)} of plain), ` +
        `agent at most ${Math.round(rssBytesMax / 2 ** 20)} MiB; at ${STEADY_LOAD.rate}/s p50 ${
          latencyMs.p50.toFixed(1)
        } ms, ` +
        `p99 ${latencyMs.p99.toFixed(1)} ms`,
    );
  }
}
