/** Kinds of system calls: a number of one table, its name, and what its result means. */
import { type Machine, syscallName, type SyscallTable } from "../../wire/syscalls.ts";
import { SYSCALL_ABIS, type SyscallAbi } from "./process_window.ts";

/** Stands for every number that is too large: SYSCALL_NUMBER_MAX of bpf/process.h. */
const NUMBER_MAX = 65_535;

/** Calls whose result is a number of bytes. What moves them from one descriptor to another does both. */
const READS = "read readv pread64 preadv preadv2 recvfrom recvmsg sendfile sendfile64 splice copy_file_range".split(
  " ",
);

const WRITES =
  "write writev pwrite64 pwritev pwritev2 sendto sendmsg vmsplice sendfile sendfile64 splice copy_file_range"
    .split(" ");

/** The table that an ABI's numbers are from; null where there is none here. */
function tableOf(machine: Machine, abi: SyscallAbi): SyscallTable | null {
  if (abi !== "compat") return machine;
  return machine === "x86_64" ? "i386" : null;
}

/** Name of a call as its row shows it. */
export function activityName(machine: Machine, abi: SyscallAbi, number: number): string {
  if (number === NUMBER_MAX) return "no such syscall";
  const table = tableOf(machine, abi);
  return table === null ? `syscall ${number}` : syscallName(table, number);
}

/** A kind of call, by its table and number. */
export interface SyscallKind {
  name: string;
  abi: SyscallAbi;
  number: number;
  reads: boolean;
  writes: boolean;
}

/** The kinds of calls that one machine makes, each made once. */
export class SyscallKinds {
  readonly #machine: Machine;
  readonly #kinds = new Map<number, SyscallKind>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The kind of a call. @param abiIndex of `SYSCALL_ABIS` */
  kindOf(abiIndex: number, number: number): SyscallKind {
    const key = abiIndex << 16 | number;
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      const abi = SYSCALL_ABIS[abiIndex];
      const name = activityName(this.#machine, abi, number);
      kind = { name, abi, number, reads: READS.includes(name), writes: WRITES.includes(name) };
      this.#kinds.set(key, kind);
    }
    return kind;
  }
}
