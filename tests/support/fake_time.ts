/** Time that passes only when a test says so, in the place of the timers and of performance.now(). */

interface Timer {
  dueMs: number;
  /** null: it fires once. */
  everyMs: number | null;
  fire: () => void;
}

type Callback = (...args: unknown[]) => void;

const real = { setTimeout, clearTimeout, setInterval, clearInterval };
/** Steps and their number until `until` gives up: two minutes of fake time. */
const STEP_MS = 10;
const STEPS_MAX = 12_000;

/** One at a time. Disposing of it brings the real time back, and drops the timers that are left. */
export class FakeTime implements Disposable {
  readonly #timers = new Map<number, Timer>();
  #nowMs = 1_000;
  #lastId = 0;

  constructor() {
    const start = (fire: () => void, ms: number, everyMs: number | null): number => {
      this.#timers.set(++this.#lastId, { dueMs: this.#nowMs + ms, everyMs, fire });
      return this.#lastId;
    };
    const stop = (id?: number) => void this.#timers.delete(id ?? 0);
    Object.assign(globalThis, {
      setTimeout: (callback: Callback, ms = 0, ...args: unknown[]) => start(() => callback(...args), ms, null),
      setInterval: (callback: Callback, ms = 0, ...args: unknown[]) => start(() => callback(...args), ms, ms),
      clearTimeout: stop,
      clearInterval: stop,
    });
    Object.defineProperty(performance, "now", { value: () => this.#nowMs, configurable: true });
  }

  /** Lets so much time pass, with the timers that are due in it; what they wake has run when this resolves. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(([, { dueMs }]) => dueMs <= endMs)
        .sort(([, left], [, right]) => left.dueMs - right.dueMs);
      if (next === undefined) break;
      const [id, timer] = next;
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      if (timer.everyMs === null) this.#timers.delete(id);
      else timer.dueMs += Math.max(1, timer.everyMs);
      timer.fire();
      await settle();
    }
    this.#nowMs = endMs;
  }

  /** Lets time pass until there is an answer. @throws {Error} when there is none in two minutes of it */
  async until<T>(ask: () => T | undefined | null | false): Promise<T> {
    await settle();
    for (let step = 0; step < STEPS_MAX; step++) {
      const answer = ask();
      if (answer) return answer;
      await this.pass(STEP_MS);
    }
    throw new Error("Cannot go on: what the test waits for does not come");
  }

  /** Lets time pass until a promise is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    await this.until(() => settled);
    return await promise;
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, real);
    // The prototype has the real one.
    Reflect.deleteProperty(performance, "now");
  }
}

/** Two turns of the event loop: what has been resolved, and what that resolves in its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => real.setTimeout(resolve));
}
