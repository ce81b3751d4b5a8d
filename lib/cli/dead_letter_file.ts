/** The file of dead letters, in JSON lines: appended to while a run goes on, read to be shown or replayed. */
import { deadLetterObject, type LetterContext, parseDeadLetters } from "../export/dead_letter_json.ts";
import { jsonLine } from "../export/json_lines.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";

export class DeadLetterFile implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #context: LetterContext;
  readonly #notice: (text: string) => void;
  #broken = false;
  /** The file ends in a part of a letter: there was room for no more. */
  #torn = false;
  #missing = 0;

  /** @throws {Error} when it cannot be written to */
  constructor(path: string, context: LetterContext, notice: (text: string) => void) {
    this.#context = context;
    this.#notice = notice;
    try {
      // Records hold what processes did: nobody else's business.
      this.#file = Deno.openSync(path, { create: true, append: true, mode: 0o600 });
    } catch (error) {
      throw new Error(`Cannot write dead letters to ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** What cannot be written is told once, and counted; later letters are tried again. */
  add(letter: DeadLetter): void {
    const line = jsonLine(deadLetterObject(letter, this.#context));
    // What is left of one letter must not cost the next.
    const bytes = new TextEncoder().encode(this.#torn ? "\n" + line : line);
    let written = 0;
    try {
      while (written < bytes.length) written += this.#file.writeSync(bytes.subarray(written));
      this.#broken = this.#torn = false;
    } catch (error) {
      this.#torn ||= written > 0;
      this.#missing++;
      if (!this.#broken) this.#notice(`dead letters are not written: ${(error as Error).message}`);
      this.#broken = true;
    }
  }

  /** Letters that are not in the file. */
  get missing(): number {
    return this.#missing;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * Reads a file of letters. Lines that are none are told, and cost no other.
 *
 * @throws {Error} when it cannot be read, or holds something but no letter
 */
export function readDeadLetters(path: string, notice: (text: string) => void): DeadLetter[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`Cannot read dead letters from ${path}: ${(error as Error).message}`, { cause: error });
  }
  const { letters, faults } = parseDeadLetters(text);
  for (const { line, message } of faults) notice(`${path}:${line}: ${message}; left out`);
  if (letters.length === 0 && faults.length > 0) {
    throw new Error(`Cannot read dead letters from ${path}: it holds none`);
  }
  return letters;
}
