/** What `doctor` reports: the features that were tried on this machine, and the verdict on each command. */
/** Commands that need something of the kernel, in the order in which they are shown. */
export const COMMANDS = ["monitor", "measure", "events", "pipeline", "top", "replay", "agent"] as const;
export type Command = typeof COMMANDS[number];

/** One thing that ebpfmon does in the kernel. */
export interface Feature {
  name: string;
  /** The commands that offer it. */
  commands: readonly Command[];
  works: boolean;
  /** Those of `commands` that cannot run without it; the others do less. */
  neededBy: readonly Command[];
  /**
   * The way that works on this machine, where there are several. When the feature does not work, the way of the part
   * that does, or empty.
   */
  way: string;
  /** Why it does not work, or what this way cannot do; else empty. */
  why: string;
  /** What to do about `why`; empty where nothing helps. */
  remedy: string;
  /** Messages of the kernel and libbpf, for `--debug`. */
  log?: string;
}

/** A setting of the machine that changes how well ebpfmon works, but not whether. */
export interface Fact {
  name: string;
  value: string;
  /** What to change; empty where all is well. */
  advice: string;
}

/** Features that every command needs, whatever its subject. */
const COMMON_FEATURES: readonly string[] = ["privileges", "libbpf"];

export type Verdict = "works" | "partly" | "broken";

export interface CommandVerdict {
  command: Command;
  verdict: Verdict;
  /** Names of its features that do not work. */
  missing: string[];
}

/**
 * Judges each command by its features. It is broken without one that it needs, or, where it needs none in particular,
 * without all of them; without any other it works partly.
 */
export function judge(features: readonly Feature[]): CommandVerdict[] {
  return COMMANDS.map((command) => {
    const own = features.filter(({ commands }) => commands.includes(command));
    const missing = own.filter(({ works }) => !works);
    const subject = own.filter(({ name }) => !COMMON_FEATURES.includes(name));
    const needsNone = subject.every(({ neededBy }) => !neededBy.includes(command));
    const broken = missing.some(({ neededBy }) => neededBy.includes(command)) ||
      (needsNone && subject.every(({ works }) => !works));
    return {
      command,
      verdict: broken ? "broken" : missing.length > 0 ? "partly" : "works",
      missing: missing.map(({ name }) => name),
    };
  });
}
