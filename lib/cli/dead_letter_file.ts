/** The file of dead letters, in JSON lines: appended to while a run goes on, read to be shown or replayed. */
import { deadLetterObject, type LetterContext, parseDeadLetters } from "../export/dead_letter_json.ts";
import { jsonLine } from "../export/json_lines.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";

export class DeadLetterFile implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #context: LetterContext;
  readonly #notice: (text: string) => void;
  #broken = false;
  /** The file ends in a part of a letter, because the disk was full. */
  #torn = false;
  #missing = 0;

  /** @throws {Error} when the file cannot be written to */
  constructor(path: string, context: LetterContext, notice: (text: string) => void) {
    this.#context = context;
    this.#notice = notice;
    try {
      // Records hold what processes did, which other users must not read.
      this.#file = Deno.openSync(path, { create: true, append: true, mode: 0o600 });
    } catch (error) {
      throw new Error(`Cannot write dead letters to ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Appends a letter. When that fails, the first failure is told and each is counted; later letters are tried again.
   */
  add(letter: DeadLetter): void {
    const line = jsonLine(deadLetterObject(letter, this.#context));
    // A new line keeps a torn letter apart from the next one.
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

  /** Number of letters that could not be written. */
  get missing(): number {
    return this.#missing;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * Reads a file of letters. A line that holds no letter is told and left out.
 *
 * @throws {Error} when the file cannot be read, or holds lines but no letter
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
