/** Bearer tokens: secrets that are kept in files, and never shown. */

/** The least length of a token, so that it is not easily guessed. */
const TOKEN_LENGTH_MIN = 16;

/**
 * Reads the token in a file. It is read for each connection, so that a replaced token counts from the next connection
 * on.
 *
 * @throws {Error} when the file cannot be read, or holds no token
 */
export function readToken(path: string): string {
  const token = Deno.readTextFileSync(path).trim();
  if (token.length < TOKEN_LENGTH_MIN || !/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(`Cannot use ${path}: a token is one line of at least ${TOKEN_LENGTH_MIN} visible ASCII characters`);
  }
  return token;
}

/** The value of the `authorization` metadata for a token. */
export function bearer(token: string): string {
  return `Bearer ${token}`;
}

/** @returns the token of an `authorization` value; null when it is of another kind */
export function tokenOf(authorization: string): string | null {
  return /^Bearer ([\x21-\x7e]+)$/i.exec(authorization)?.[1] ?? null;
}
