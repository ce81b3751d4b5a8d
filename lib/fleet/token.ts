/** Bearer tokens: secrets that are kept in files, and shown nowhere. */

/** A token is guessed less easily than this many characters. */
const TOKEN_LENGTH_MIN = 16;

/**
 * The token in a file, read anew each time: a rotated one counts from the next connection on.
 *
 * @throws when the file cannot be read, or holds nothing that could be a token
 */
export function readToken(path: string): string {
  const token = Deno.readTextFileSync(path).trim();
  if (token.length < TOKEN_LENGTH_MIN || !/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(`Cannot use ${path}: a token is one line of at least ${TOKEN_LENGTH_MIN} visible ASCII characters`);
  }
  return token;
}

/** What goes into `authorization` metadata. */
export function bearer(token: string): string {
  return `Bearer ${token}`;
}

/** @returns the token of an `authorization` value; null when it is of another kind */
export function tokenOf(authorization: string): string | null {
  return /^Bearer ([\x21-\x7e]+)$/i.exec(authorization)?.[1] ?? null;
}
