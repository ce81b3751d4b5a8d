/**
 * The libc functions that ebpfmon needs and Deno does not offer. libc is in the process anyway, so it is opened once
 * and stays open.
 */
import { SystemError } from "../runtime/errors.ts";

const LIBC_SYMBOLS = {
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  gettid: { parameters: [], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  opendir: { parameters: ["buffer"], result: "pointer" },
  readdir: { parameters: ["pointer"], result: "pointer" },
  closedir: { parameters: ["pointer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  if_indextoname: { parameters: ["u32", "buffer"], result: "pointer" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  name_to_handle_at: { parameters: ["i32", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  sysconf: { parameters: ["i32"], result: "i64" },
  vsnprintf: { parameters: ["buffer", "usize", "pointer", "pointer"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  readOnThread: { name: "read", parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

let libc: Deno.DynamicLibrary<typeof LIBC_SYMBOLS> | undefined;

function symbols(): Deno.DynamicLibrary<typeof LIBC_SYMBOLS>["symbols"] {
  libc ??= Deno.dlopen("libc.so.6", LIBC_SYMBOLS);
  return libc.symbols;
}

/** errno of the last libc call on this thread. Any other call in between may overwrite it. */
export function lastErrno(): number {
  const location = symbols().__errno_location();
  return new Deno.UnsafePointerView(location!).getInt32();
}

/** A NUL-terminated copy of `text`. @throws {TypeError} if it holds a NUL itself */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`Cannot pass ${JSON.stringify(text)} to C: it holds a NUL`);
  const bytes = new TextEncoder().encode(text);
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

/** Address of a buffer's first byte, for a field of a C struct: `keepAlive` the buffer when the call has returned. */
export function addressOf(buffer: ArrayBufferView<ArrayBuffer> | null): bigint {
  return buffer === null ? 0n : Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

const kept: unknown[] = [];

/**
 * Keeps values whose address C has from being garbage-collected until this call. Optimised code forgets a value after
 * its last use, `void value` does not count as one, and a nonblocking call does not keep its arguments either.
 */
export function keepAlive(value: unknown): void {
  kept[0] = value;
}

export function closeFd(fd: number): void {
  symbols().close(fd);
}

const RTLD_LAZY = 1, RTLD_NOLOAD = 4, RTLD_NODELETE = 0x1000;

/**
 * Keeps an open library in memory until the process ends. A thread that is in a nonblocking call goes on when the
 * worker that made it is terminated, which closes the worker's libraries.
 *
 * @param name the library's own, or the path that it was opened by
 */
export function pinLibrary(name: string): void {
  symbols().dlopen(cString(name), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/** The kernel's id of the calling thread. */
export function threadId(): number {
  return symbols().gettid();
}

const O_RDONLY_CLOEXEC = 0o2000000;
const LOCK_EX = 2;

/**
 * Takes the lock of this process, which one thread at a time can hold, and holds it until disposed of. It is a file
 * lock on a file in /proc of this process: each opening of the file is another holder.
 *
 * @throws {SystemError}
 */
export function lockProcess(): Disposable {
  const path = "/proc/self/status";
  const fd = symbols().open(cString(path), O_RDONLY_CLOEXEC);
  if (fd < 0) throw new SystemError(`open ${path}`, lastErrno());
  if (symbols().flock(fd, LOCK_EX) < 0) {
    const errno = lastErrno();
    closeFd(fd);
    throw new SystemError(`lock ${path}`, errno);
  }
  return { [Symbol.dispose]: () => closeFd(fd) };
}

// One for all: a start reads thousands of files.
const kernelText = new Uint8Array(16_384);
const KERNEL_TEXT_BYTES = BigInt(kernelText.length);
const kernelTextDecoder = new TextDecoder();

/**
 * Text of a file in /proc or /sys, read as the kernel makes it. Deno keeps these folders behind --allow-all, which a
 * program that runs as root should not have.
 *
 * @throws {SystemError}
 */
export function readKernelFile(path: string): string {
  const fd = symbols().open(cString(path), O_RDONLY_CLOEXEC);
  if (fd < 0) throw new SystemError(`open ${path}`, lastErrno());
  try {
    let text = "";
    for (;;) {
      const n = Number(symbols().read(fd, kernelText, KERNEL_TEXT_BYTES));
      if (n < 0) {
        const errno = lastErrno();
        kernelTextDecoder.decode();
        throw new SystemError(`read ${path}`, errno);
      }
      if (n === 0) return text + kernelTextDecoder.decode();
      text += kernelTextDecoder.decode(kernelText.subarray(0, n), { stream: true });
    }
  } finally {
    closeFd(fd);
  }
}

/** Whether a file in /proc or /sys can be opened. */
export function fileExists(path: string): boolean {
  const fd = symbols().open(cString(path), O_RDONLY_CLOEXEC);
  if (fd >= 0) closeFd(fd);
  return fd >= 0;
}

const PATH_MAX = 4096;
const linkTarget = new Uint8Array(PATH_MAX);

/** Where a link in /proc or /sys leads. @throws {SystemError} */
export function readKernelLink(path: string): string {
  const n = Number(symbols().readlink(cString(path), linkTarget, BigInt(linkTarget.length)));
  if (n < 0) throw new SystemError(`read ${path}`, lastErrno());
  return new TextDecoder().decode(linkTarget.subarray(0, n));
}

/** An entry of a folder; never `.` or `..`. */
export interface KernelFolderEntry {
  name: string;
  inode: bigint;
  isFolder: boolean;
}

const DT_DIR = 4;

/** What is in a folder of /proc or /sys. @throws {SystemError} */
export function listKernelFolder(path: string): KernelFolderEntry[] {
  const folder = symbols().opendir(cString(path));
  if (folder === null) throw new SystemError(`open ${path}`, lastErrno());
  try {
    const entries: KernelFolderEntry[] = [];
    for (;;) {
      // struct dirent of 64-bit glibc: u64 d_ino; s64 d_off; u16 d_reclen; u8 d_type; char d_name[]
      const entry = symbols().readdir(folder);
      if (entry === null) return entries;
      const view = new Deno.UnsafePointerView(entry);
      const name = view.getCString(19);
      if (name === "." || name === "..") continue;
      entries.push({ name, inode: view.getBigUint64(0), isFolder: view.getUint8(18) === DT_DIR });
    }
  } finally {
    symbols().closedir(folder);
  }
}

const AT_FDCWD = -100;
const MAX_HANDLE_BYTES = 128;

/** The handle by which name_to_handle_at(2) identifies a file. @throws {SystemError} */
export function fileHandle(path: string): Uint8Array<ArrayBuffer> {
  // struct file_handle: u32 handle_bytes; int handle_type; the handle itself
  const handle = new Uint32Array(2 + MAX_HANDLE_BYTES / 4);
  handle[0] = MAX_HANDLE_BYTES;
  const mountId = new Uint8Array(4);
  if (symbols().name_to_handle_at(AT_FDCWD, cString(path), new Uint8Array(handle.buffer), mountId, 0) < 0) {
    throw new SystemError(`find ${path}`, lastErrno());
  }
  return new Uint8Array(handle.buffer, 8, handle[0]);
}

const CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7;
const timespec = new BigInt64Array(2);

function clockNs(clock: number): bigint {
  symbols().clock_gettime(clock, timespec);
  return timespec[0] * 1_000_000_000n + timespec[1];
}

/** CLOCK_MONOTONIC in nanoseconds: the clock of bpf_ktime_get_ns(). */
export function monotonicNs(): bigint {
  return clockNs(CLOCK_MONOTONIC);
}

/** CLOCK_BOOTTIME in nanoseconds, which goes on while the machine sleeps: the clock of start times in /proc. */
export function boottimeNs(): bigint {
  return clockNs(CLOCK_BOOTTIME);
}

/** The index of an interface; 0 when there is none of that name. */
export function ifindexOf(name: string): number {
  return symbols().if_nametoindex(cString(name));
}

const IF_NAMESIZE = 16;

/** The name of the interface in this network namespace; null where there is none of that index. */
export function interfaceNameOf(ifindex: number): string | null {
  const name = new Uint8Array(IF_NAMESIZE);
  if (symbols().if_indextoname(ifindex, name) === null) return null;
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;

/** A socket, closed when disposed of, on exec, and by the kernel with the process. */
export class Socket implements Disposable {
  readonly #fd: number;
  readonly #what: string;
  #closed = false;

  /** @param options.what the socket's purpose, for error messages @throws {SystemError} */
  constructor(options: { family: number; type: number; protocol?: number; what: string }) {
    const { family, type, protocol = 0, what } = options;
    this.#what = what;
    this.#fd = symbols().socket(family, type | SOCK_CLOEXEC, protocol);
    if (this.#fd < 0) throw new SystemError(`open ${what}`, lastErrno());
  }

  /** @param address a struct sockaddr @returns 0, or the errno */
  bind(address: Uint8Array<ArrayBuffer>): number {
    return symbols().bind(this.#fd, address, address.length) < 0 ? lastErrno() : 0;
  }

  /** @param address a struct sockaddr @returns 0, or the errno */
  connect(address: Uint8Array<ArrayBuffer>): number {
    return symbols().connect(this.#fd, address, address.length) < 0 ? lastErrno() : 0;
  }

  /** @throws {SystemError} */
  send(message: Uint8Array<ArrayBuffer>): void {
    if (symbols().send(this.#fd, message, BigInt(message.length), 0) < 0) {
      throw new SystemError(`send to ${this.#what}`, lastErrno());
    }
  }

  /**
   * Receives a message that is there already; never waits.
   *
   * @returns its bytes, within `buffer`
   * @throws {SystemError}
   */
  receive(buffer: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const length = Number(symbols().recv(this.#fd, buffer, BigInt(buffer.length), MSG_DONTWAIT));
    if (length < 0) throw new SystemError(`receive from ${this.#what}`, lastErrno());
    return buffer.subarray(0, length);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }
}

const SC_PAGESIZE = 30;
let pageBytes: number | undefined;

export function pageSizeBytes(): number {
  return pageBytes ??= Number(symbols().sysconf(SC_PAGESIZE));
}

const MFD_CLOEXEC = 1;

/**
 * An anonymous file that holds `bytes`; the caller closes the fd. A library opened from it needs no folder that is
 * writable and executable, and leaves nothing behind.
 */
export function memoryFile(name: string, bytes: Uint8Array<ArrayBuffer>): number {
  const fd = symbols().memfd_create(cString(name), MFD_CLOEXEC);
  if (fd < 0) throw new SystemError(`make a memory file for ${name}`, lastErrno());
  for (let written = 0; written < bytes.length;) {
    const n = Number(symbols().write(fd, bytes.subarray(written), BigInt(bytes.length - written)));
    if (n <= 0) {
      const errno = lastErrno();
      closeFd(fd);
      throw new SystemError(`write ${name} to a memory file`, errno);
    }
    written += n;
  }
  return fd;
}

/**
 * printf's formatting for a `va_list` handed to a callback; at most 4,095 bytes.
 *
 * @param args the `va_list` as the callback got it: a pointer on both machines, since x86_64's is an array, and aarch64
 *   passes a struct of 32 bytes by reference. It is used up.
 */
export function formatVaList(format: Deno.PointerValue, args: Deno.PointerValue): string {
  const text = new Uint8Array(4096);
  const length = symbols().vsnprintf(text, BigInt(text.length), format, args);
  return new TextDecoder().decode(text.subarray(0, Math.max(0, Math.min(length, text.length - 1))));
}

const POLLIN = 1;

/**
 * Waits on another thread until `fd` is readable.
 * @returns false after `timeoutMs` without anything to read
 */
export async function pollReadable(fd: number, timeoutMs: number): Promise<boolean> {
  const pollfd = new DataView(new ArrayBuffer(8));
  pollfd.setInt32(0, fd, true);
  pollfd.setInt16(4, POLLIN, true);
  const ready = await symbols().poll(new Uint8Array(pollfd.buffer), 1n, timeoutMs);
  keepAlive(pollfd);
  return ready > 0;
}

/**
 * Reads once on another thread, for a file whose reading takes the kernel long. That thread's errno cannot be asked for.
 *
 * @returns the bytes read into `buffer`, 0 at the end of the file, or -1 where the read failed
 */
export async function readOnThread(fd: number, buffer: Uint8Array<ArrayBuffer>): Promise<number> {
  const length = await symbols().readOnThread(fd, buffer, BigInt(buffer.length));
  keepAlive(buffer);
  return Number(length);
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/**
 * A shared mapping of a map's or ring's memory. `buffer` aliases kernel memory: it must not be read after disposal,
 * nor posted to another thread without a copy.
 */
export class Mapping implements Disposable {
  readonly buffer: ArrayBuffer;
  readonly #address: Deno.PointerObject;
  readonly #lengthBytes: number;
  #mapped = true;

  /**
   * @param lengthBytes rounded up to whole pages
   * @throws {SystemError}
   */
  constructor(fd: number, lengthBytes: number, options: { writable: boolean; offsetBytes?: number; what: string }) {
    const page = pageSizeBytes();
    this.#lengthBytes = Math.ceil(lengthBytes / page) * page;
    const protection = options.writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const offset = BigInt(options.offsetBytes ?? 0);
    const address = symbols().mmap(0n, BigInt(this.#lengthBytes), protection, MAP_SHARED, fd, offset);
    if (address === null || Deno.UnsafePointer.value(address) === MAP_FAILED) {
      throw new SystemError(`map ${options.what} into memory`, lastErrno());
    }
    this.#address = address;
    this.buffer = Deno.UnsafePointerView.getArrayBuffer(address, lengthBytes);
  }

  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    symbols().munmap(this.#address, BigInt(this.#lengthBytes));
  }
}
