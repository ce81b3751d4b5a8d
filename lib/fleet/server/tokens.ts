/**
 * The agents that may stream: a file with a line `AGENT SHA-256` for each token, the hash in hexadecimal digits. Empty
 * lines, and lines that begin with #, are ignored. An agent may have several tokens, so that a token can be replaced. The
 * file holds hashes only, so that reading it does not allow to stream.
 */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

interface TokenLine {
  agent: string;
  hash: Buffer;
}

/** Parses the text of a token file. @param path for the error @throws {TypeError} that names the faulty line */
export function parseTokens(text: string, path: string): TokenLine[] {
  const lines: TokenLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const match = /^\s*(\S+)\s+([0-9a-fA-F]{64})\s*$/.exec(line);
    if (!match) throw new TypeError(`Cannot use ${path}: line ${index + 1} is not AGENT and 64 hexadecimal digits`);
    lines.push({ agent: match[1], hash: Buffer.from(match[2], "hex") });
  }
  return lines;
}

export class TokenFile {
  readonly #path: string;
  #text: string;
  #lines: TokenLine[];

  /** @throws {Error} when the file cannot be read, or a line is faulty */
  constructor(path: string) {
    this.#path = path;
    this.#text = Deno.readTextFileSync(path);
    this.#lines = parseTokens(this.#text, path);
  }

  /**
   * Reads the file again.
   *
   * @returns whether the file has changed
   * @throws {Error} when the file cannot be read, or a line is faulty; the tokens from before stay valid then
   */
  reload(): boolean {
    const text = Deno.readTextFileSync(this.#path);
    if (text === this.#text) return false;
    this.#lines = parseTokens(text, this.#path);
    this.#text = text;
    return true;
  }

  /**
   * @returns the agent that a token belongs to; null for an unknown token. The comparison takes the same time for every
   * token, so that its duration tells an attacker nothing.
   */
  agentOf(token: string): string | null {
    const hash = createHash("sha256").update(token).digest();
    let agent: string | null = null;
    for (const line of this.#lines) {
      if (timingSafeEqual(line.hash, hash)) agent = line.agent;
    }
    return agent;
  }
}
