/** SIGHUP: reads rules again where a run has a file of them, else ends the run, as a closed terminal should. */

const listeners = new Set<() => void>();

/** From now on SIGHUP calls `action` and does not end the program, until disposed of. */
export function onHangup(action: () => void): Disposable {
  listeners.add(action);
  return { [Symbol.dispose]: () => void listeners.delete(action) };
}

/** To be called for each SIGHUP. @returns false when nobody has a use for it */
export function hangup(): boolean {
  for (const action of listeners) action();
  return listeners.size > 0;
}
