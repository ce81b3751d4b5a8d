/**
 * What `ebpfmon serve` acknowledges of one agent, a second, where it stores and correlates: by itself with a store on
 * disk, and through JetStream with one node and three. Agent, server and NATS share this machine.
 */
import type { AgentProgramOptions, AgentProgramResult } from "../tests/support/fleet_agent_program.ts";
import { CertificateFolder } from "../tests/support/fleet_certificates.ts";
import { FleetServe, TestFolder } from "../tests/support/fleet_cli.ts";
import { AgentProgram } from "../tests/support/fleet_programs.ts";
import { NatsServers } from "../tests/support/nats_servers.ts";
import { FULL_LOAD, STEADY_LOAD } from "./fleet_load.ts";

const EVENTS = 300_000;
const STEADY_EVENTS = 50_000;

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

export async function benchFleetServe(): Promise<void> {
  console.log(`\nServe: ${EVENTS} events from one agent, stored and acknowledged`);
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
      to: EVENTS,
      ...options,
    });
    return await agent.result();
  }

  let plain = NaN;
  for (const variant of VARIANTS) {
    const { seconds, rssBytesMax } = await measure(variant, {});
    const rate = EVENTS / seconds;
    if (variant.name === "plain") plain = rate;
    const { latencyMs } = await measure(variant, { ...STEADY_LOAD, to: STEADY_EVENTS });
    console.log(
      `   ${variant.name.padEnd(14)} ${Math.round(rate)} events/s (${(rate / plain).toFixed(2)} of plain), ` +
        `agent at most ${Math.round(rssBytesMax / 2 ** 20)} MiB; at ${STEADY_LOAD.rate}/s p50 ${
          latencyMs.p50.toFixed(1)
        } ms, ` +
        `p99 ${latencyMs.p99.toFixed(1)} ms`,
    );
  }
}

if (import.meta.main) await benchFleetServe();
