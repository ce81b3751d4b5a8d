/** Says what has changed: a fault that lasts is told once, not each time it is found again. */
export class SaidOnce {
  readonly #say: (text: string) => void;
  /** By topic, what was said last. */
  readonly #last = new Map<string, string>();

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  say(topic: string, text: string): void {
    if (this.#last.get(topic) === text) return;
    this.#last.set(topic, text);
    this.#say(text);
  }

  /** It is over: the next time is news again. */
  over(topic: string): void {
    this.#last.delete(topic);
  }
}
