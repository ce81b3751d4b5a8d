/**
 * Chooses programs by trying to load them. What one kernel's verifier accepts another's refuses, and neither the
 * version number nor a list of features tells which.
 */
import {
  EAGAIN,
  EINTR,
  EMFILE,
  ENFILE,
  ENOMEM,
  PrivilegeError,
  refusalOf,
  UnsupportedError,
} from "../runtime/errors.ts";

/** A job to be done in the kernel, and the sets of programs that can do it. */
export interface ProgramJob<Name extends string> {
  /** Names the job within its list. */
  job: string;
  /** Sets of programs, the best first; a set is used as a whole. */
  variants: readonly (readonly Name[])[];
}

/** A job that none of its variants can do on this kernel. */
export interface UndoneJob {
  job: string;
  /** Why the last of its variants was refused. */
  error: Error;
}

export interface LoadedVariants<Loaded, Name extends string> {
  loaded: Loaded;
  /** The programs in use, in the order of the jobs. */
  programs: Name[];
  /** Job to the variant that does it. */
  variantOf: Map<string, readonly Name[]>;
  undone: UndoneJob[];
}

/**
 * Loads, for each job, the first variant that this kernel takes.
 *
 * The best variants are loaded together, which succeeds on a new kernel. Only when that fails is each variant tried
 * alone, since one program that the verifier refuses makes the whole object fail.
 *
 * @param load loads exactly these programs, and does what else may show that they cannot be used
 * @throws {PrivilegeError}
 * @throws {UnsupportedError} when no job can be done; its cause is the first job's error
 * @throws {Error} what `load` throws for a passing shortage, such as one of memory
 */
export function loadVariants<Loaded extends Disposable, Name extends string>(
  jobs: readonly ProgramJob<Name>[],
  load: (programs: Name[]) => Loaded,
): LoadedVariants<Loaded, Name> {
  const best = new Map(jobs.map(({ job, variants }) => [job, variants[0]]));
  const programsOf = (variantOf: Map<string, readonly Name[]>) => [...new Set([...variantOf.values()].flat())];
  let refusal: unknown;
  try {
    const programs = programsOf(best);
    return { loaded: load(programs), programs, variantOf: best, undone: [] };
  } catch (error) {
    if (error instanceof PrivilegeError || isPassing(error)) throw error;
    refusal = error;
  }
  const variantOf = new Map<string, readonly Name[]>();
  const undone: UndoneJob[] = [];
  for (const { job, variants } of jobs) {
    const result = firstThatLoads(variants, load);
    if ("variant" in result) variantOf.set(job, result.variant);
    else undone.push({ job, error: result.error });
  }
  if (variantOf.size === 0) {
    const { message } = undone[0]?.error ?? refusal as Error;
    throw new UnsupportedError(message, { cause: undone[0]?.error ?? refusal });
  }
  const programs = programsOf(variantOf);
  return { loaded: load(programs), programs, variantOf, undone };
}

function firstThatLoads<Name extends string>(
  variants: readonly (readonly Name[])[],
  load: (programs: Name[]) => Disposable,
): { variant: readonly Name[] } | { error: Error } {
  let error = new Error("there is no program for it");
  for (const variant of variants) {
    try {
      load([...variant])[Symbol.dispose]();
      return { variant };
    } catch (refusal) {
      if (isPassing(refusal)) throw refusal;
      error = refusal as Error;
    }
  }
  return { error };
}

/** Errors of a passing shortage, after which no lesser variant is tried. */
const PASSING: readonly number[] = [EINTR, EAGAIN, ENOMEM, EMFILE, ENFILE];

function isPassing(error: unknown): boolean {
  const refusal = refusalOf(error);
  return refusal !== null && PASSING.includes(refusal.errno);
}
