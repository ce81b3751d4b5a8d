/** The secret that a request must carry to change rules over HTTP. */

/**
 * Reads the secret. It is read at each use, so that a new secret holds at once.
 *
 * @param file null: no secret is needed
 * @throws {Error} when the file cannot be read or is empty
 */
export function readToken(file: string | null): string | null {
  if (file === null) return null;
  const token = Deno.readTextFileSync(file).trim();
  if (token === "") throw new Error(`Cannot use the token in ${file}: it is empty`);
  return token;
}
