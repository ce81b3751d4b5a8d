/** `ebpfmon agent` and `ebpfmon serve` as processes of their own, with what they say. */
import { PERMISSIONS } from "../../tools/permissions.ts";
import { freePort } from "./fleet_programs.ts";
import { delay } from "../../lib/runtime/timers.ts";

const MAIN = decodeURIComponent(new URL("../../main.ts", import.meta.url).pathname);
const WAIT_MS = 20_000;

// deno-lint-ignore no-explicit-any
export type Json = any;

/** EBPFMON names a build to test; else the source is. */
function command(args: string[]): [string, string[]] {
  const program = Deno.env.get("EBPFMON");
  if (program !== undefined) return [program, args];
  return [Deno.execPath(), ["run", "--quiet", "--no-prompt", "--no-check", ...PERMISSIONS, MAIN, ...args]];
}

export class FleetProcess implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void[]>;

  constructor(args: string[], env: Record<string, string> = {}) {
    const [program, words] = command(args);
    this.#child = new Deno.Command(program, { args: words, env, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    this.#reading = Promise.all([
      collect(this.#child.stdout, (text) => this.stdout += text),
      collect(this.#child.stderr, (text) => this.stderr += text),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get objects(): Json[] {
    return this.stdout.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}")).map((line) =>
      JSON.parse(line)
    );
  }

  /** Waits for an object of standard output. */
  async said(type: string): Promise<Json> {
    return await eventually(() => this.objects.find((object) => object.type === type), () => `${type}: ${this.stderr}`);
  }

  kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  /** @returns its exit code */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  /** Ends it as its user would. @returns the summary that it prints */
  async finish(): Promise<Json> {
    this.kill("SIGINT");
    const code = await this.ended();
    if (code !== 0) throw new Error(`It ended with ${code}: ${this.stderr}${this.stdout}`);
    return this.objects.find(({ type }) => type === "summary");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.ended();
  }
}

async function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, take: (text: string) => void): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}

/** Asks until there is an answer. @throws when there is none in time */
export async function eventually<T>(
  ask: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  what: () => string,
  timeoutMs = WAIT_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`Cannot go on: in ${timeoutMs} ms there was no ${what()}`);
    await delay(50);
  }
}

/** A server, and how to ask it. Its ports stay the same when it is started again. */
export class FleetServe implements AsyncDisposable {
  readonly folder: string;
  readonly grpcPort = freePort();
  readonly httpPort = freePort();
  readonly #args: string[];
  readonly #env: Record<string, string>;
  process: FleetProcess | null = null;

  /** @param folder where its store is */
  constructor(folder: string, args: string[] = [], env: Record<string, string> = {}) {
    this.folder = folder;
    this.#args = args;
    this.#env = env;
  }

  async start(): Promise<this> {
    const store = this.#args.includes("--store") ? [] : ["--store", `${this.folder}/fleet-${this.grpcPort}.db`];
    this.process = new FleetProcess([
      "serve",
      "--json",
      ...["--listen-grpc", `127.0.0.1:${this.grpcPort}`, "--listen", `127.0.0.1:${this.httpPort}`],
      ...store,
      ...this.#args,
    ], this.#env);
    await this.process.said("ready");
    return this;
  }

  async kill(): Promise<void> {
    await this.process?.[Symbol.asyncDispose]();
  }

  async get(path: string): Promise<Json> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return path === "/metrics" ? text : JSON.parse(text);
  }

  groups(query = ""): Promise<Json[]> {
    return this.get(`/api/v1/groups?limit=1000${query}`).then(({ groups }) => groups);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** A folder of a test's own. */
export class TestFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "ebpfmon-fleet-" });

  write(name: string, text: string): string {
    Deno.writeTextFileSync(`${this.path}/${name}`, text, { mode: 0o600 });
    return `${this.path}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** An agent of this host, of whose events those of one command's name are sent. */
export function startAgent(options: { port: number; rules: string; args?: string[] }): FleetProcess {
  return new FleetProcess([
    "agent",
    "lo",
    // Beside whoever watches the same interface: another run of the tests may.
    ...["--mode", "tcx", "--json"],
    ...["--server", `127.0.0.1:${options.port}`, "--listen", "off", "--flush-ms", "100"],
    ...["--rules", options.rules, "--agent-id", "tested"],
    ...options.args ?? [],
  ]);
}
