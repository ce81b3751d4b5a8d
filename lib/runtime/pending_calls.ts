/** Questions to a worker, by number, until their answers come or the worker has ended. */

interface Pending<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class PendingCalls<Answer> {
  readonly #pending = new Map<number, Pending<Answer>>();
  readonly #endedText: string;
  #next = 0;
  #ended = false;

  /** @param endedText what whoever asks too late is told */
  constructor(endedText: string) {
    this.#endedText = endedText;
  }

  /** Nothing is answered any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** @param send asks the worker, under the number that its answer will have */
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

  /** Ends with `answering`, and for its reason. @throws what it throws */
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

  /** @param why for those that still wait; absent: that it has ended */
  end(why: Error = new Error(this.#endedText)): void {
    this.#ended = true;
    for (const { reject } of this.#pending.values()) reject(why);
    this.#pending.clear();
  }
}
