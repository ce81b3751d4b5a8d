/** What SIGHUP does: it reads files again where a run has any, else it ends the run, as a closed terminal should. */

const listeners = new Set<() => void>();

/** From now on SIGHUP calls `action` and does not end the program, until disposed of. */
export function onHangup(action: () => void): Disposable {
  listeners.add(action);
  return { [Symbol.dispose]: () => void listeners.delete(action) };
}

/** Calls the actions for a SIGHUP. @returns false when there is no action */
export function hangup(): boolean {
  for (const action of listeners) action();
  return listeners.size > 0;
}
