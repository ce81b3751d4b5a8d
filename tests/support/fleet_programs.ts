/** Starts fleet_server_program.ts and fleet_agent_program.ts, and ends them in any way. */
import type { AgentProgramOptions, AgentProgramResult } from "./fleet_agent_program.ts";
import type { ServerProgramOptions } from "./fleet_server_program.ts";
import { delay } from "../../lib/runtime/timers.ts";

const FOLDER = decodeURIComponent(new URL(".", import.meta.url).pathname);
const RUN = ["run", "--quiet", "--no-prompt", "--no-check", "--allow-all"];

/** A port of loopback that nobody listens on now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** How a program is started: here, or in a namespace. Its output is piped. */
export type Launch = (command: string, args: string[]) => Deno.ChildProcess;

const launchHere: Launch = (command, args) =>
  new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();

class Program implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  /** What it said, complete when it has ended. */
  stdout = "";
  stderr = "";
  readonly #reading: Promise<void[]>;

  protected constructor(script: string, options: unknown, launch: Launch) {
    this.child = launch(Deno.execPath(), [...RUN, `${FOLDER}${script}`, JSON.stringify(options)]);
    this.#reading = Promise.all([
      collect(this.child.stdout, (text) => this.stdout += text),
      collect(this.child.stderr, (text) => this.stderr += text),
    ]);
  }

  /** Waits until it has said `text`. */
  async said(text: string, timeoutMs = 20_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!this.stdout.includes(text)) {
      if (performance.now() > deadline) {
        throw new Error(`Cannot go on: no ${text}; it says ${this.stdout}${this.stderr}`);
      }
      await delay(5);
    }
  }

  /** @returns its exit code */
  async end(signal: Deno.Signal): Promise<number> {
    try {
      this.child.kill(signal);
    } catch {
      // It has ended already.
    }
    return await this.ended();
  }

  async ended(): Promise<number> {
    const { code } = await this.child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

async function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, take: (text: string) => void): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}

export class ServerProgram extends Program {
  /** Listens when this resolves. */
  static async start(options: ServerProgramOptions, launch = launchHere): Promise<ServerProgram> {
    const program = new ServerProgram("fleet_server_program.ts", options, launch);
    try {
      await program.said("READY");
      return program;
    } catch (error) {
      await program[Symbol.asyncDispose]();
      throw error;
    }
  }

  get port(): number {
    return Number(/READY ([0-9]+)/.exec(this.stdout)?.[1]);
  }
}

export class AgentProgram extends Program {
  static start(options: AgentProgramOptions, launch = launchHere): AgentProgram {
    return new AgentProgram("fleet_agent_program.ts", options, launch);
  }

  /** Waits until everything is acknowledged. */
  async result(): Promise<AgentProgramResult> {
    const code = await this.ended();
    if (code !== 0) throw new Error(`The agent ended with ${code}: ${this.stderr}`);
    return JSON.parse(this.stdout);
  }
}
