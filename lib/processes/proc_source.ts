/** Processes, cgroups and users of this host, read from /proc, the mount of cgroup2 and /etc/passwd. */
import type { ProcessFacts, ProcessSource } from "./process_source.ts";
import type { PasswdSource } from "./users.ts";
import { cgroupId } from "../ffi/cgroup.ts";
import { CgroupWalk } from "./cgroup_walk.ts";
import { boottimeNs, listKernelFolder, monotonicNs, readKernelFile, readKernelLink } from "../ffi/libc.ts";

/** USER_HZ: the unit of times in /proc, 100 on every architecture that Deno runs on. */
const NS_PER_TICK = 1e7;
/** PROC_PID_INIT_INO of include/linux/proc_ns.h. */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";
/** The length of a slice of the walk over cgroups: urgent events wait for no longer. */
const WALK_SLICE_MS = 5;

export interface ProcSourceOptions {
  /** The file with the host's user names. */
  passwdPath?: string;
  /** How long one call of `cgroupPath` may take. */
  walkSliceMs?: number;
}

/**
 * The source of this host's processes. Records number processes as the initial PID namespace does. In another namespace
 * /proc numbers them differently, and this source then finds no process, rather than a wrong one.
 */
export class ProcSource implements ProcessSource, PasswdSource {
  readonly #passwdPath: string;
  readonly #isInitialNamespace = linkOrEmpty("/proc/self/ns/pid") === INITIAL_PID_NAMESPACE;
  readonly #walk: CgroupWalk | null;

  constructor(options: ProcSourceOptions = {}) {
    this.#passwdPath = options.passwdPath ?? "/etc/passwd";
    this.#walk = openWalk(cgroupMount(), options.walkSliceMs ?? WALK_SLICE_MS);
  }

  /** True where /proc numbers processes as records do. */
  get seesProcesses(): boolean {
    return this.#isInitialNamespace;
  }

  list(): number[] {
    if (!this.#isInitialNamespace) return [];
    return listKernelFolder("/proc").map(({ name }) => Number(name)).filter((pid) => pid > 0);
  }

  read(pid: number): ProcessFacts | null {
    if (!this.#isInitialNamespace) return null;
    const folder = `/proc/${pid}`;
    const stat = textOrEmpty(`${folder}/stat`);
    // The name may hold spaces and parentheses; numbers follow its last one.
    const nameEnd = stat.lastIndexOf(")");
    const fields = stat.slice(nameEnd + 2).split(" ");
    if (fields.length < 20) return null;
    const readNs = Number(monotonicNs());
    // Read in this order the difference is too large, if anything, and the start too early.
    const sleptNs = Number(boottimeNs()) - readNs;
    return {
      pid,
      startNs: Math.max(0, Number(fields[19]) * NS_PER_TICK - sleptNs),
      readNs,
      name: stat.slice(stat.indexOf("(") + 1, nameEnd),
      ppid: Number(fields[1]),
      exe: linkOrEmpty(`${folder}/exe`),
      cgroups: textOrEmpty(`${folder}/cgroup`),
    };
  }

  cgroupPath(id: bigint): string | null | undefined {
    return this.#walk === null ? null : this.#walk.pathOf(id);
  }

  passwdStamp(): number | null {
    try {
      return Deno.statSync(this.#passwdPath).mtime?.getTime() ?? null;
    } catch {
      return null;
    }
  }

  /** The text of the file with user names; empty where it cannot be read. */
  passwdText(): string {
    try {
      return Deno.readTextFileSync(this.#passwdPath);
    } catch {
      return "";
    }
  }
}

/** The path of the first mount of cgroup2, in which the kernel writes a space as `\040`; null where there is none. */
function cgroupMount(): string | null {
  for (const line of textOrEmpty("/proc/self/mounts").split("\n")) {
    const [, path, type] = line.split(" ");
    if (type === "cgroup2") {
      return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
    }
  }
  return null;
}

/** @returns null where there is no mount, or this process may not read it */
function openWalk(mount: string | null, sliceMs: number): CgroupWalk | null {
  if (mount === null) return null;
  try {
    const list = (path: string) => entriesOrNone(mount + path);
    return new CgroupWalk({ rootId: cgroupId(mount), list, nowNs: () => Number(monotonicNs()), sliceMs });
  } catch {
    return null;
  }
}

// A process may end at any time, and some files are for its owner only: then there is nothing to know.

function textOrEmpty(path: string): string {
  try {
    return readKernelFile(path);
  } catch {
    return "";
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readKernelLink(path);
  } catch {
    return "";
  }
}

function entriesOrNone(path: string): ReturnType<typeof listKernelFolder> {
  try {
    return listKernelFolder(path);
  } catch {
    return [];
  }
}
