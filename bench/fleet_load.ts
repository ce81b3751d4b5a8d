/** How the fleet's benches load their agent. */
import type { AgentProgramOptions } from "../tests/support/fleet_agent_program.ts";

/** As fast as batches are acknowledged. */
export const FULL_LOAD: Omit<AgentProgramOptions, "link" | "to"> = {
  agent: "agent-1",
  from: 0,
  chunk: 1000,
  rate: 0,
  flushMs: 1000,
  waitingMax: 50,
  whenConnected: true,
  memoryBytesMax: 64 * 1024 * 1024,
};

/** For latencies: so many events a second, none of which waits for company. */
export const STEADY_LOAD = { rate: 10_000, chunk: 100, flushMs: 0 };
