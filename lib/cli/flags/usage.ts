/** Wrong usage, and how a command says what is wrong. */

/** Wrong usage. The message is one line that names the mistake and the help to read. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** What a command checks its flags with. */
export interface UsageContext {
  /** @returns the error for a mistake in this command's flags, to be thrown */
  wrong(mistake: string): UsageError;
  /** @returns the text of a file @throws {Error} when the file cannot be read */
  readFile(path: string): string;
}

/** The error for a mistake in the flags of a command. */
export function usageError(command: string, mistake: string): UsageError {
  return new UsageError(`ebpfmon ${command}: ${mistake}; see ebpfmon ${command} --help`);
}

/**
 * What `parse` makes of a file that a flag names.
 *
 * @param flag long name
 * @param parse throws SyntaxError for a text that is wrong
 * @throws {UsageError}
 */
export function parseFile<T>(file: string, flag: string, context: UsageContext, parse: (text: string) => T): T {
  let text: string;
  try {
    text = context.readFile(file);
  } catch (error) {
    throw context.wrong(`cannot read --${flag} ${quote(file)}: ${oneLine((error as Error).message)}`);
  }
  return checked(context, "", () => parse(text));
}

/**
 * What `parse` gives.
 *
 * @param flag long name that the message begins with; empty where `parse` says what it is about
 * @throws {UsageError} in the place of a SyntaxError
 */
export function checked<T>({ wrong }: UsageContext, flag: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong(flag === "" ? error.message : `--${flag}: ${error.message}`);
    throw error;
  }
}

/** Quoted as JSON is, which keeps a message on one line whatever was typed. */
export function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : oneLine(JSON.stringify(value));
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
