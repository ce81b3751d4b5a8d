/** An agent without a kernel: a spool, a batcher and a link, in this process. */
import { Batcher } from "../../lib/fleet/agent/batcher.ts";
import { AgentLink, type LinkOptions } from "../../lib/fleet/agent/link.ts";
import { Spool, type SpoolOptions } from "../../lib/fleet/agent/spool.ts";
import { monotonicNs } from "../../lib/ffi/libc.ts";
import { delay } from "../../lib/runtime/timers.ts";

// Opens libc, which then stays open: a test that did so would seem to leak it.
monotonicNs();

export interface TestAgentOptions {
  port: number;
  agent?: string;
  flushMs?: number;
  spool?: Partial<SpoolOptions>;
  link?: Partial<LinkOptions>;
}

export class TestAgent implements AsyncDisposable {
  readonly spool: Spool;
  readonly batcher: Batcher;
  readonly link: AgentLink;
  readonly notices: string[] = [];
  readonly #controller = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: TestAgentOptions) {
    const onNotice = (notice: string) => this.notices.push(notice);
    this.spool = new Spool({ memoryBytesMax: 64 * 1024 * 1024, onNotice, ...options.spool });
    this.link = new AgentLink(this.spool, {
      servers: [{ host: "127.0.0.1", port: options.port }],
      identity: {
        agentId: options.agent ?? "agent-1",
        host: "host-1",
        version: "0.0.0",
        bootId: "boot",
      },
      tls: null,
      backoff: { firstMs: 20, maxMs: 300 },
      onNotice,
      ...options.link,
    });
    this.batcher = new Batcher(this.spool, {
      flushMs: options.flushMs ?? 20,
      bytesMax: 1024 * 1024,
      clock: () => {
        const unixNs = BigInt(Date.now()) * 1_000_000n;
        return { unixNs, bootUnixNs: unixNs - monotonicNs() };
      },
      onBatch: () => this.link.wake(),
    });
    this.#running = this.link.run(this.#controller.signal);
  }

  /** Flushes what waits, delivers it, and stops. */
  async stop(): Promise<void> {
    this.batcher[Symbol.dispose]();
    this.link.wake();
    this.#controller.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.spool[Symbol.dispose]();
    // gRPC leaves the timers of channels that failed to run out by themselves: the longest is of 250 ms.
    if (this.link.stats.failures > 0) await delay(400);
  }
}
