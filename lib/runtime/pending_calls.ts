/** Calls to a worker, by number, that wait for their answers or for the end of the worker. */

interface Pending<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class PendingCalls<Answer> {
  readonly #pending = new Map<number, Pending<Answer>>();
  readonly #endedText: string;
  #next = 0;
  #ended = false;

  /** @param endedText the message of the error of calls after the end */
  constructor(endedText: string) {
    this.#endedText = endedText;
  }

  /** True once no call is answered any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Makes a call.
   *
   * @param send sends the call to the worker, with the number that the answer will carry
   * @throws {Error} when the worker has ended, or answers with an error
   */
  ask(send: (id: number) => void): Promise<Answer> {
    if (this.#ended) return Promise.reject(new Error(this.#endedText));
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#pending.set(id, { resolve, reject });
    send(id);
    return promise;
  }

  answer(id: number, answer: Answer): void {
    this.#pending.get(id)?.resolve(answer);
    this.#pending.delete(id);
  }

  refuse(id: number, error: Error): void {
    this.#pending.get(id)?.reject(error);
    this.#pending.delete(id);
  }

  /** Ends all calls when `answering` ends, with its error where it throws one. @throws what `answering` throws */
  async endWith(answering: () => Promise<void>): Promise<void> {
    let why: Error | undefined;
    try {
      await answering();
    } catch (error) {
      why = error as Error;
      throw error;
    } finally {
      this.end(why);
    }
  }

  /** Ends all calls. @param why the error of calls that still wait */
  end(why: Error = new Error(this.#endedText)): void {
    this.#ended = true;
    for (const { reject } of this.#pending.values()) reject(why);
    this.#pending.clear();
  }
}
