/**
 * The servers that an agent may use. It picks one at random among those that have not failed lately, so that agents
 * spread over the servers.
 */
import { Backoff, type BackoffOptions } from "../../runtime/backoff.ts";
import type { ServerAddress } from "../server_address.ts";

export interface PooledServer {
  readonly address: ServerAddress;
}

interface Candidate extends PooledServer {
  backoff: Backoff;
  /** The time before which the server is not tried again, in milliseconds. */
  fromMs: number;
}

export class ServerPool {
  readonly #candidates: Candidate[];
  readonly #random: () => number;

  /** @throws {TypeError} when there is no server */
  constructor(addresses: readonly ServerAddress[], backoff: BackoffOptions) {
    if (addresses.length === 0) throw new TypeError("Cannot connect: no server is given");
    this.#random = backoff.random ?? Math.random;
    this.#candidates = addresses.map((address) => ({ address, backoff: new Backoff(backoff), fromMs: 0 }));
  }

  /** @returns a server to try now; or how long until there is one */
  pick(nowMs: number): PooledServer | { waitMs: number } {
    const ready = this.#candidates.filter(({ fromMs }) => fromMs <= nowMs);
    if (ready.length > 0) return ready[Math.floor(this.#random() * ready.length) % ready.length];
    return { waitMs: Math.min(...this.#candidates.map(({ fromMs }) => fromMs)) - nowMs };
  }

  /** @param leastMs that the server asked for */
  failed(server: PooledServer, nowMs: number, leastMs = 0): void {
    const candidate = this.#find(server);
    candidate.fromMs = nowMs + Math.max(leastMs, candidate.backoff.next());
  }

  worked(server: PooledServer): void {
    const candidate = this.#find(server);
    candidate.backoff.reset();
    candidate.fromMs = 0;
  }

  #find(server: PooledServer): Candidate {
    return this.#candidates.find((candidate) => candidate === server)!;
  }
}
