/** Waits that somebody may cut short. */

/** Calls back after a time, unless what it returns is called before. */
export type After = (ms: number, callback: () => void) => () => void;

export const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/**
 * Waits, or less long where `signal` says stop; it never fails.
 *
 * @param options.after what a test puts in the place of the clock
 */
export function sleep(ms: number, signal: AbortSignal, options: { after: After } = { after }): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = options.after(ms, done);
    signal.addEventListener("abort", done);
  });
}
