/** How an agent names itself to a server. Types only. */

/** What an agent says of itself in its Hello message; constant while the agent runs. */
export interface AgentIdentity {
  agentId: string;
  host: string;
  version: string;
  bootId: string;
}
