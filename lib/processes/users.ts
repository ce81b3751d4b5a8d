/** Names of users, from the host's /etc/passwd alone: libc's look-ups might ask a directory server over the network. */

/** Where the text comes from: lib/processes/proc_source.ts, or a fake. */
export interface PasswdSource {
  /** A value that differs when the text may have changed; null where there is no text. */
  passwdStamp(): number | null;
  passwdText(): string;
}

const RELOAD_INTERVAL_NS = 10e9;
/** The most users that are read; a host has fewer. */
const USERS_MAX = 65_536;

/** Names by uid. Of several names of one uid the first counts, as in getpwuid(3). */
export function parsePasswd(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , uid] = line.split(":");
    // `+` and `-` are NIS's, `#` starts a comment.
    if (!name || uid === undefined || !/^[0-9]{1,10}$/.test(uid) || /^[+#-]/.test(name)) continue;
    if (!names.has(Number(uid))) names.set(Number(uid), name);
    if (names.size === USERS_MAX) break;
  }
  return names;
}

export class Users {
  readonly #source: PasswdSource;
  #names = new Map<number, string>();
  #stamp: number | null = null;
  #nextNs = -Infinity;

  constructor(source: PasswdSource) {
    this.#source = source;
  }

  /** The name of a uid; empty where it has none. */
  nameOf(uid: number): string {
    return this.#names.get(uid) ?? "";
  }

  /**
   * Reads the file again where it has changed; checks at most once in 10 seconds. When the file cannot be read, the
   * names stay as they are.
   *
   * @param nowNs by any monotonic clock
   * @returns true when the file was read again
   */
  refresh(nowNs: number): boolean {
    if (nowNs < this.#nextNs) return false;
    this.#nextNs = nowNs + RELOAD_INTERVAL_NS;
    const stamp = this.#source.passwdStamp();
    if (stamp === null || stamp === this.#stamp) return false;
    this.#names = parsePasswd(this.#source.passwdText());
    this.#stamp = stamp;
    return true;
  }
}
