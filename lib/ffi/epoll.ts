/**
 * Waits for the wakeups of several file descriptors at once. It is edge-triggered: only a new wakeup ends a wait, data
 * that is there already does not. A ring that fills without a wakeup is read when its timer is due.
 */
import { SystemError } from "../runtime/errors.ts";
import { closeFd, lastErrno } from "./libc.ts";
import type { Machine } from "../wire/syscalls.ts";

const SYMBOLS = {
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EPOLLET = 0x8000_0000;

/** struct epoll_event: u32 events; u64 data. x86_64 alone packs it, to share it with 32-bit programs. */
export function epollEventLayout(machine: Machine): { bytes: number; dataAt: number } {
  return machine === "x86_64" ? { bytes: 12, dataAt: 4 } : { bytes: 16, dataAt: 8 };
}

const EVENT = epollEventLayout(Deno.build.arch as Machine);
const EVENTS_MAX = 16;

export class Epoll implements Disposable {
  readonly #libc = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #fd: number;
  #open = true;

  /** @throws {SystemError} */
  constructor() {
    this.#fd = this.#libc.symbols.epoll_create1(EPOLL_CLOEXEC);
    if (this.#fd < 0) throw new SystemError("make an epoll instance", lastErrno());
  }

  /** Watches `fd` until it is closed. @param tag what `wait` returns for it, an unsigned 32-bit number */
  add(fd: number, tag: number): void {
    const event = new DataView(new ArrayBuffer(EVENT.bytes));
    event.setUint32(0, (EPOLLIN | EPOLLET) >>> 0, true);
    event.setUint32(EVENT.dataAt, tag, true);
    if (this.#libc.symbols.epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer)) !== 0) {
      throw new SystemError(`watch descriptor ${fd}`, lastErrno());
    }
  }

  /** Waits on another thread. @returns tags of what was woken since the last call; none after `timeoutMs` */
  async wait(timeoutMs: number): Promise<number[]> {
    const events = new DataView(new ArrayBuffer(EVENTS_MAX * EVENT.bytes));
    const bytes = new Uint8Array(events.buffer);
    // An interrupted wait is one without events.
    const count = Math.max(0, await this.#libc.symbols.epoll_wait(this.#fd, bytes, EVENTS_MAX, timeoutMs));
    return Array.from({ length: count }, (_, i) => events.getUint32(i * EVENT.bytes + EVENT.dataAt, true));
  }

  /** Call it when no `wait` is pending. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    closeFd(this.#fd);
    this.#libc.close();
  }
}
