/** The terminal during a live view: alternate screen, size and keys. It is restored however the program ends. */

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"; // alternate screen, no cursor, no wrapping, clear
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
// A terminal that knows synchronized output shows the frame at once; others ignore the marks.
const FRAME_START = "\x1b[?2026h\x1b[H";
const FRAME_END = "\x1b[?2026l";
/**
 * Clears before a line, not after it: behind a line as wide as the terminal the cursor stands on the last character,
 * and clearing from there would take it.
 */
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\r\n\x1b[J";
/** An arrow or a function key: its letters are no keys of their own. */
// deno-lint-ignore no-control-regex
const ESCAPE_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?/gs;
/** The Escape key itself, which no other character follows. */
const ESCAPE = "\x1b";
const EXIT_EVENTS = ["unload", "error", "unhandledrejection"];
const FALLBACK_SIZE = { columns: 80, rows: 24 };

/** What a screen shows. */
export interface ScreenView<State> {
  /** The state as it is now; structuredClone must be able to copy it. */
  state(paused: boolean): State;
  /** Makes at most `rows` lines, none wider than `columns`. */
  render(state: State, columns: number, rows: number, colour: boolean): string[];
  /**
   * Takes each key before the screen does. @returns true where the key has a meaning; a held picture then moves again
   */
  press?(key: string): boolean;
}

/**
 * Takes the terminal on construction and draws a view on it: `p` holds the picture, `q` fires `stop`, and Ctrl-C stays a
 * signal. Keys are read only where stdin is a terminal.
 *
 * @example
 * ```ts ignore
 * using screen = new Screen({ state: (paused) => ({ ...state, paused }), render: renderLive }, stop);
 * screen.draw();
 * ```
 */
export class Screen<State> implements Disposable {
  readonly #view: ScreenView<State>;
  readonly #stop: AbortController;
  readonly #keys: ReadableStreamDefaultReader<Uint8Array> | null;
  /** What `p` holds, a copy because totals are added to in place; null while the picture moves. */
  #held: State | null = null;
  #shown = false;
  #disposed = false;

  /** @param stop ends the view: the terminal is restored when it is aborted */
  constructor(view: ScreenView<State>, stop: AbortController) {
    this.#view = view;
    this.#stop = stop;
    this.#keys = Deno.stdin.isTerminal() ? Deno.stdin.readable.getReader() : null;
    this.#show();
    stop.signal.addEventListener("abort", this.#restore);
    // Whatever ends the process without going through dispose: Deno.exit(), an error nobody caught.
    for (const event of EXIT_EVENTS) globalThis.addEventListener(event, this.#restore);
    Deno.addSignalListener("SIGWINCH", this.#redraw);
    Deno.addSignalListener("SIGTSTP", this.#ignore);
    Deno.addSignalListener("SIGCONT", this.#resume);
    if (stop.signal.aborted) this[Symbol.dispose]();
    else this.#readKeys();
  }

  /** Shows the state as it is now, or the one that is held. */
  draw(): void {
    if (!this.#shown) return;
    const { columns, rows } = terminalSize();
    const lines = this.#view.render(this.#held ?? this.#view.state(false), columns, rows, !Deno.noColor);
    const text = lines.map((line) => CLEAR_LINE + line).join("\r\n");
    write(FRAME_START + text + (lines.length < rows ? CLEAR_BELOW : "") + FRAME_END);
  }

  /** Restores the terminal; may be called twice. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#hide();
    this.#stop.signal.removeEventListener("abort", this.#restore);
    for (const event of EXIT_EVENTS) globalThis.removeEventListener(event, this.#restore);
    Deno.removeSignalListener("SIGWINCH", this.#redraw);
    Deno.removeSignalListener("SIGTSTP", this.#ignore);
    Deno.removeSignalListener("SIGCONT", this.#resume);
    // A pending read would keep the process alive.
    this.#keys?.cancel().catch(() => {});
  }

  readonly #restore = () => this[Symbol.dispose]();
  readonly #redraw = () => this.draw();

  /**
   * Ignores Ctrl-Z, which would leave the shell on our screen: stopping ourselves after restoring it would take
   * `--allow-run`.
   */
  readonly #ignore = () => {};

  /** Takes the terminal again after a stop from outside, since the shell has used it meanwhile. */
  readonly #resume = () => {
    this.#hide();
    this.#show();
    this.draw();
  };

  #show(): void {
    if (this.#shown) return;
    this.#shown = true;
    // cbreak: keys arrive one by one, and Ctrl-C still sends its signal.
    if (this.#keys !== null) Deno.stdin.setRaw(true, { cbreak: true });
    write(ENTER);
  }

  #hide(): void {
    if (!this.#shown) return;
    this.#shown = false;
    try {
      write(LEAVE);
      if (this.#keys !== null) Deno.stdin.setRaw(false);
    } catch {
      // The terminal is gone: nothing is left to restore.
    }
  }

  #press(key: string): void {
    if (this.#view.press?.(key) === true) {
      this.#held = null;
      this.draw();
      return;
    }
    if (key === "q") this.#stop.abort();
    if (key !== "p") return;
    this.#held = this.#held === null ? structuredClone(this.#view.state(true)) : null;
    this.draw();
  }

  async #readKeys(): Promise<void> {
    if (this.#keys === null) return;
    try {
      const decoder = new TextDecoder();
      for (let read = await this.#keys.read(); !read.done; read = await this.#keys.read()) {
        const text = decoder.decode(read.value);
        for (const key of text === ESCAPE ? text : text.replace(ESCAPE_SEQUENCE, "")) this.#press(key);
      }
    } catch {
      // The terminal hung up; SIGHUP says so to whoever must know.
    }
  }
}

function terminalSize(): { columns: number; rows: number } {
  try {
    const size = Deno.consoleSize();
    return size.columns > 0 && size.rows > 0 ? size : FALLBACK_SIZE;
  } catch {
    return FALLBACK_SIZE;
  }
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
}
