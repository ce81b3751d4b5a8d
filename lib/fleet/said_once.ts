/** Tells faults, each once for as long as it lasts, rather than each time that it is found again. */
export class SaidOnce {
  readonly #say: (text: string) => void;
  /** The text that was told last, by topic. */
  readonly #last = new Map<string, string>();

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  say(topic: string, text: string): void {
    if (this.#last.get(topic) === text) return;
    this.#last.set(topic, text);
    this.#say(text);
  }

  /** Notes that the fault of a topic is over, so that it is told again the next time. */
  over(topic: string): void {
    this.#last.delete(topic);
  }
}
