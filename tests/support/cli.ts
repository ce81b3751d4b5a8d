/** The built program, run in a test net. */
import { linesOf } from "./lines.ts";
import { ENDS, type NetSide, type TestNet } from "./namespaces.ts";

/** EBPFMON names another build of it to test. */
const PROGRAM = Deno.env.get("EBPFMON") ?? decodeURIComponent(new URL("../../ebpfmon", import.meta.url).pathname);

/** Looked at whenever a line comes, and a window comes every 200 ms. An emulated machine takes its time. */
const WAIT_MS = Number(Deno.env.get("EBPFMON_TEST_WAIT_MS") ?? 15_000);

// deno-lint-ignore no-explicit-any
export type JsonObject = Record<string, any> & { type: string };

export interface CliResult {
  code: number;
  signal: string | null;
  objects: JsonObject[];
  stdout: string[];
  stderr: string[];
}

export class Cli {
  /** Lines of standard output so far. */
  readonly stdout: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #stdoutDone: Promise<void>;
  readonly #stderr: Promise<string>;
  #wake: () => void = () => {};
  #ended = false;

  /** @param prefix a command that runs the program, such as setpriv */
  constructor(net: TestNet, args: string[], prefix: string[] = [], side: NetSide = "watched") {
    const [command, ...rest] = [...prefix, PROGRAM, ...args];
    this.#child = net.spawn(side, command, rest);
    this.#stderr = new Response(this.#child.stderr).text();
    this.#stdoutDone = this.#readStdout();
  }

  async #readStdout(): Promise<void> {
    for await (const line of linesOf(this.#child.stdout)) {
      this.stdout.push(line);
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  /** nsenter and setpriv become the program, so this is its process. */
  get pid(): number {
    return this.#child.pid;
  }

  get objects(): JsonObject[] {
    return this.stdout.map((line) => JSON.parse(line));
  }

  /** Waits for an object of standard output that `accepts` takes. @throws when the program ends without one, or late */
  async until(accepts: (object: JsonObject) => boolean): Promise<JsonObject> {
    const deadlineMs = performance.now() + WAIT_MS;
    for (let at = 0;;) {
      for (; at < this.stdout.length; at++) {
        const object: JsonObject = JSON.parse(this.stdout[at]);
        if (accepts(object)) return object;
      }
      if (this.#ended) throw new Error(`Cannot find what was expected: the program ended: ${await this.#stderr}`);
      if (performance.now() > deadlineMs) throw new Error("Cannot find what was expected: it does not come");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Waits until programs are attached. */
  ready(): Promise<JsonObject> {
    return this.until((object) => object.type === "ready");
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end. */
  async result(): Promise<CliResult> {
    const { code, signal } = await this.#child.status;
    await this.#stdoutDone;
    const stderr = (await this.#stderr).split("\n").filter((line) => line !== "");
    const objects = this.stdout.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
    return { code, signal, objects, stdout: this.stdout, stderr };
  }
}

/** Runs the program to its end. */
export function runCli(net: TestNet, args: string[], prefix: string[] = []): Promise<CliResult> {
  return new Cli(net, args, prefix).result();
}

/** `monitor` of the watched end with JSON lines, without HTTP unless told otherwise. */
export function monitorArgs(...more: string[]): string[] {
  const listen = more.includes("--listen") ? [] : ["--listen", "off"];
  return ["monitor", ENDS.watched.iface, "--json", "--window", "200", ...listen, ...more];
}
