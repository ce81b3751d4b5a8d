/** A process in a test net whose sockets do what it is told, and the probe that notes whose they are. */
import { SocketOwners } from "../../lib/aggregate/owners/socket_owners.ts";
import { SocketOwnerProbe, type SocketOwnerProbeOptions } from "../../lib/aggregate/owners/socket_owner_probe.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./bpf.ts";
import { linesOf } from "./lines.ts";
import type { NetSide, TestNet } from "./namespaces.ts";
import type { SyscallActor } from "./processes.ts";

/** `syscall_actor sockets`: its lines are in tests/support/syscall_actor.c. */
export class SocketUser implements AsyncDisposable {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #answers: AsyncGenerator<string>;

  /** @param options.cpu the one CPU that it may run on */
  constructor(net: TestNet, side: NetSide, actor: Pick<SyscallActor, "path">, options: { cpu?: number } = {}) {
    const command = [actor.path, "sockets"];
    const [name, ...args] = options.cpu === undefined ? command : ["taskset", "-c", `${options.cpu}`, ...command];
    // nsenter and taskset become the program, so that the number is the program's.
    this.#child = net.spawn(side, name, args, { stdin: "piped", stderr: "inherit" });
    this.pid = this.#child.pid;
    this.#answers = linesOf(this.#child.stdout);
  }

  /** @returns the answer @throws when the program has ended over it */
  async ask(verb: string, address: string | null = null, number = 0): Promise<number> {
    // Let go each time: the net closes what its processes leave open.
    const input = this.#child.stdin.getWriter();
    await input.write(new TextEncoder().encode(`${verb} ${address ?? "-"} ${number}\n`));
    input.releaseLock();
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`Cannot go on: process ${this.pid} has ended`);
    return Number(value);
  }

  /** Ends it; a child that it has forked ends with the lines. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.stdin.close().catch(() => {});
    for await (const _ of this.#answers);
    await this.#child.status;
  }
}

/** Inode of a side's network namespace. */
export async function netnsOf(net: TestNet, side: NetSide): Promise<number> {
  return Number(/\d+/.exec(await net.run(side, "readlink", ["/proc/self/ns/net"]))![0]);
}

/** An attached probe, and whose flows the two sides of a net see. */
export class OwnerWatch implements Disposable {
  readonly probe: SocketOwnerProbe;
  readonly owners: SocketOwners;
  readonly #owned: DisposableStack;

  constructor(options: Partial<SocketOwnerProbeOptions> = {}) {
    using stack = new DisposableStack();
    const libbpf = stack.use(openSystemLibbpf());
    const elf = Deno.readFileSync(`${ASSETS_DIR}/bpf/socket_owner.bpf.o`);
    this.probe = stack.use(new SocketOwnerProbe(libbpf, elf, { ownersMax: 65_536, ...options }));
    this.owners = new SocketOwners(this.probe, this.probe.netns);
    this.probe.attach();
    this.#owned = stack.move();
  }

  /** Scans where sockets are only found by that, as the product does from time to time. */
  async scanIfNeeded(): Promise<void> {
    if (this.probe.needsScans) await this.probe.scan();
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
