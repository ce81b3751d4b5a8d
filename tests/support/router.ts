/** The router probe and the program whose deeds it watches, for tests without a worker around them. */
import { EventDecoder } from "../../lib/events/event_decoder.ts";
import {
  EVENT_TYPES,
  type EventType,
  type RingName,
  RINGS,
  type RouterEvent,
  type SharedRing,
} from "../../lib/events/event.ts";
import { RouterProbe, type RouterProbeOptions } from "../../lib/router/router_probe.ts";
import { readRouterElfs } from "../../lib/router/router_programs.ts";
import type { Machine } from "../../lib/wire/syscalls.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./bpf.ts";

/** What `only.comm` names: another in each run, so that no other test run on the machine counts either. */
export const ACTOR = `actor-${crypto.randomUUID().slice(0, 8)}`;

export const RING_BYTES: Record<SharedRing, number> = { critical: 128 << 10, normal: 512 << 10, debug: 64 << 10 };

/** Compiled into a folder of its own. */
export class Actor implements AsyncDisposable {
  readonly dir: string;
  readonly path: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.path = `${dir}/${ACTOR}`;
  }

  static async build(): Promise<Actor> {
    const actor = new Actor(await Deno.makeTempDir({ prefix: "ebpfmon-router-" }));
    // Actions that give root up still have to reach their files.
    await Deno.chmod(actor.dir, 0o755);
    const source = decodeURIComponent(new URL("router_actor.c", import.meta.url).pathname);
    const { success, stderr } = await new Deno.Command("clang", {
      args: ["-O2", "-Wall", "-Wextra", "-Werror", "-static", source, "-o", actor.path],
    }).output();
    if (!success) throw new Error(`Cannot build ${ACTOR}: ${new TextDecoder().decode(stderr)}`);
    return actor;
  }

  /** Runs an action to its end. @returns its pid and the results that it printed */
  async run(...args: string[]): Promise<{ pid: number; results: number[]; code: number; signal: string | null }> {
    const child = new Deno.Command(this.path, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    const { stdout, code, signal } = await child.output();
    const lines = new TextDecoder().decode(stdout).trim();
    return { pid: child.pid, results: lines === "" ? [] : lines.split("\n").map(Number), code, signal };
  }

  /** Starts an action that waits for `go`. */
  start(...args: string[]): { pid: number; go(): Promise<void>; done: Promise<Deno.CommandStatus> } {
    const child = new Deno.Command(this.path, { args, stdin: "piped", stdout: "null", stderr: "null" }).spawn();
    const go = async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new Uint8Array(1));
      await writer.close();
    };
    return { pid: child.pid, go, done: child.status };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

export type Only = RouterProbeOptions["only"];

export const EVERYTHING: Only = { rings: [], events: [], pid: null, uid: null, comm: null };

/** An attached probe and what it has handed out so far. */
export class Watch implements Disposable {
  readonly probe: RouterProbe;
  readonly events: Record<RingName, RouterEvent[]> = { critical: [], normal: [], debug: [], isolated: [] };
  undecodable = 0;
  readonly #decoder = new EventDecoder(Deno.build.arch as Machine);
  readonly #owned: DisposableStack;

  constructor(options: Partial<RouterProbeOptions> = {}, elfs = readRouterElfs(ASSETS_DIR)) {
    using stack = new DisposableStack();
    const libbpf = stack.use(openSystemLibbpf());
    this.probe = stack.use(
      new RouterProbe(libbpf, elfs, {
        sources: [...EVENT_TYPES],
        rules: [],
        ringBytes: RING_BYTES,
        rateLimit: 0,
        repeatSuppression: false,
        isolate: [],
        only: { ...EVERYTHING, comm: ACTOR },
        ...options,
      }),
    );
    this.probe.attach();
    this.#owned = stack.move();
  }

  /** Decodes a sample of a ring, as the worker does. */
  take(ring: RingName): (data: DataView<ArrayBuffer>, offset: number, lengthBytes: number) => void {
    return (data, offset, lengthBytes) => {
      const event = this.#decoder.decode(data, offset, lengthBytes);
      if (event === null) this.undecodable++;
      else this.events[ring].push(event);
    };
  }

  readAll(): void {
    for (const ring of RINGS) this.probe.read(ring, this.take(ring));
  }

  /** Reads all rings again and again until `done` is settled, then once more. */
  async readUntil(done: Promise<unknown>): Promise<void> {
    let running = true;
    const ended = done.finally(() => running = false);
    while (running) {
      await this.probe.wait(20);
      this.readAll();
    }
    await ended;
    this.readAll();
  }

  /** No event comes after this; everything is read. */
  finish(): void {
    this.probe.detach();
    this.probe.fence();
    this.readAll();
    this.probe.flushRepeats(true);
    this.readAll();
  }

  /** Events of one type from all rings, in the order of their times. */
  of<T extends EventType>(type: T): Extract<RouterEvent, { event: T }>[] {
    return RINGS.flatMap((ring) => this.events[ring])
      .filter((event): event is Extract<RouterEvent, { event: T }> => event.event === type)
      .sort((a, b) => Number(a.tsNs - b.tsNs));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

export function sumOf(counts: readonly bigint[]): bigint {
  return counts.reduce((sum, count) => sum + count, 0n);
}
