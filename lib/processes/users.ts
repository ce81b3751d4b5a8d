/**
 * Names of users from the host's /etc/passwd, and from nothing else: what libc would ask may be a directory server on the
 * other end of a network.
 */

/** Where the text comes from: lib/processes/proc_source.ts, or a fake. */
export interface PasswdSource {
  /** Something that differs when the text may have changed; null without a text. */
  passwdStamp(): number | null;
  passwdText(): string;
}

const RELOAD_INTERVAL_NS = 10e9;
/** A host has fewer; what a broken file holds beyond that is left out. */
const USERS_MAX = 65_536;

/** Names by uid. Of several names of a uid the first counts, as in getpwuid(3). */
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

  /** Empty for a uid without a name. */
  nameOf(uid: number): string {
    return this.#names.get(uid) ?? "";
  }

  /**
   * Looks whether the file has changed, at most once in 10 seconds. One that cannot be read leaves the names as they are.
   *
   * @param nowNs on any clock that goes forward
   * @returns whether it was read anew
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
