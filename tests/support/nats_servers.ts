/** Debian's nats-server: one node, or three that replicate, on loopback, with what they store in a test's own folder. */
import { eventually } from "./fleet_cli.ts";

interface Node {
  name: string;
  port: number;
  clusterPort: number;
  monitorPort: number;
  child: Deno.ChildProcess | null;
}

const START_TRIES_MAX = 3;

/** Paths: clients need a certificate of the same authority. */
export interface NatsTls {
  ca: string;
  cert: string;
  key: string;
}

/** Ports that nobody listens on, each another: all are held until the last is found. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }) => addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}

function tlsArgs({ ca, cert, key }: NatsTls): string[] {
  return ["--tlsverify", "--tlscacert", ca, "--tlscert", cert, "--tlskey", key];
}

export class NatsServers implements AsyncDisposable {
  readonly #folder: string;
  readonly #nodes: Node[];
  readonly #tls: NatsTls | null;

  private constructor(folder: string, count: number, tls: NatsTls | null) {
    this.#folder = folder;
    this.#tls = tls;
    const ports = freePorts(3 * count);
    this.#nodes = Array.from({ length: count }, (_, i) => {
      const [port, clusterPort, monitorPort] = ports.slice(3 * i);
      return { name: `n${i}`, port, clusterPort, monitorPort, child: null };
    });
  }

  /** @returns once streams can be made */
  static async start(folder: string, count: number, tls: NatsTls | null = null): Promise<NatsServers> {
    for (let tries = 1;; tries++) {
      const servers = new NatsServers(`${folder}/nats-${tries}`, count, tls);
      try {
        for (let node = 0; node < count; node++) servers.startNode(node);
        await eventually(() => servers.#healthy(), () => "NATS that is healthy");
        return servers;
      } catch (error) {
        await servers[Symbol.asyncDispose]();
        // Somebody else may have taken one of the ports meanwhile.
        if (tries === START_TRIES_MAX) throw error;
      }
    }
  }

  get urls(): string {
    return this.#nodes.map(({ port }) => `${this.#tls === null ? "nats" : "tls"}://127.0.0.1:${port}`).join(",");
  }

  /** @param options beyond what all nodes are started with */
  startNode(index: number, options: string[] = []): void {
    const node = this.#nodes[index];
    const cluster = [
      ...["--cluster_name", "test", "--cluster", `nats://127.0.0.1:${node.clusterPort}`],
      ...["--routes", this.#nodes.map(({ clusterPort }) => `nats://127.0.0.1:${clusterPort}`).join(",")],
    ];
    node.child = new Deno.Command("nats-server", {
      args: [
        ...["-js", "-sd", `${this.#folder}/${node.name}`, "-n", node.name],
        ...["-a", "127.0.0.1", "-p", String(node.port), "-m", String(node.monitorPort)],
        ...this.#nodes.length > 1 ? cluster : [],
        ...this.#tls === null ? [] : tlsArgs(this.#tls),
        ...options,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** kill -9. */
  async killNode(index: number): Promise<void> {
    const { child } = this.#nodes[index];
    if (child === null) return;
    this.#nodes[index].child = null;
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
    await child.status;
  }

  /** Which node leads the most streams: the one whose end is felt most. */
  async leader(): Promise<number> {
    const leads = await Promise.all(this.#nodes.map(async ({ monitorPort, name }) => {
      const response = await fetch(`http://127.0.0.1:${monitorPort}/jsz?streams=true`);
      const { account_details: accounts = [] } = await response.json();
      // deno-lint-ignore no-explicit-any
      const streams: any[] = accounts.flatMap(({ stream_detail: streams = [] }) => streams);
      return streams.filter(({ cluster }) => cluster?.leader === name).length;
    }));
    return leads.indexOf(Math.max(...leads));
  }

  async #healthy(): Promise<boolean> {
    const answers = await Promise.all(this.#nodes.map(async ({ monitorPort }) => {
      try {
        const response = await fetch(`http://127.0.0.1:${monitorPort}/healthz`);
        await response.body?.cancel();
        return response.ok;
      } catch {
        return false;
      }
    }));
    return answers.every(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let node = 0; node < this.#nodes.length; node++) await this.killNode(node);
  }
}
