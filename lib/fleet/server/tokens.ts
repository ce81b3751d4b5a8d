/**
 * Who may stream: a file with a line `AGENT SHA-256` for each token, in hexadecimal digits; empty lines and those that
 * begin with # say nothing. An agent may have several, so that a token can be replaced. Only hashes are kept: whoever
 * reads the file cannot stream.
 */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

interface TokenLine {
  agent: string;
  hash: Buffer;
}

/** What goes into the file for a token. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** @throws {TypeError} that names the line */
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

  /** @throws when the file cannot be used */
  constructor(path: string) {
    this.#path = path;
    this.#text = Deno.readTextFileSync(path);
    this.#lines = parseTokens(this.#text, path);
  }

  /**
   * Reads the file again. A faulty one changes nothing.
   *
   * @returns whether there is anything new
   * @throws when the file cannot be used now
   */
  reload(): boolean {
    const text = Deno.readTextFileSync(this.#path);
    if (text === this.#text) return false;
    this.#lines = parseTokens(text, this.#path);
    this.#text = text;
    return true;
  }

  /** @returns whose token it is; null for nobody's. How long that takes says nothing about how close it was. */
  agentOf(token: string): string | null {
    const hash = createHash("sha256").update(token).digest();
    let agent: string | null = null;
    for (const line of this.#lines) {
      if (timingSafeEqual(line.hash, hash)) agent = line.agent;
    }
    return agent;
  }
}
