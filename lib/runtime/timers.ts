/** Waits that can be cut short. */

/** Calls back after `ms`, unless the function that it returns is called before. */
export type After = (ms: number, callback: () => void) => () => void;

/** The `After` of the real clock. */
export const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

export interface DelayOptions {
  /** Ends the wait when it aborts. */
  signal?: AbortSignal;
  /** Replaces the clock in tests. */
  after?: After;
}

/** Resolves after `ms`, or as soon as `signal` aborts. Never rejects. */
export function delay(ms: number, { signal, after: start = after }: DelayOptions = {}): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = start(ms, done);
    signal?.addEventListener("abort", done);
  });
}
