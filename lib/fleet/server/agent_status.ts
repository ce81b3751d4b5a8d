/** What a server counts of each agent. Types only. */

/** What an agent has sent since the server started; kept after the agent has disconnected. */
export interface AgentStatus {
  agent: string;
  host: string;
  version: string;
  address: string;
  connected: boolean;
  connects: number;
  batches: number;
  events: number;
  bytes: number;
  /** Batches that the agent sent again after a lost acknowledgement, and that were not stored again. */
  duplicates: number;
  /** How long the server read this agent's stream more slowly than the agent sent, because of the limit on events. */
  throttledMs: number;
  lastSeenUnixMs: number;
}
