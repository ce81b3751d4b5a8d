/**
 * The rules of a run while it runs: from a file, again on SIGHUP or when it changes, or from the API. Changes are made one
 * after another; one that is wrong leaves everything as it was.
 */
import type { RuleSet } from "../events/rule_set.ts";
import { parseRuleSet } from "../events/rules.ts";
import { formatOf } from "./flags/events.ts";

/** What is in force. */
export interface ActiveRules {
  /** Without the built-in ones. */
  own: RuleSet;
  /** As event records carry it. */
  generation: number;
  source: "start" | "file" | "api";
  sinceUnixMs: number;
}

/** What rules are given to, and how the rest of the world is seen. */
export interface LiveRulesHost {
  /** Puts a set in force, built-in rules added. @returns its generation @throws what the kernel has against it */
  apply(own: RuleSet): Promise<number>;
  readFile(path: string): string;
  /** Something that differs when the file may have changed; null while it is not there. */
  stamp(path: string): string | null;
  notice(text: string): void;
}

/** Between two looks at the file. */
const LOOK_MS = 1_000;

export const NO_RULES: RuleSet = { rules: [] };

export class LiveRules implements Disposable {
  readonly #host: LiveRulesHost;
  readonly #file: string | null;
  #active: ActiveRules;
  #changes: Promise<unknown> = Promise.resolve();
  #watching: ReturnType<typeof setInterval> | undefined;
  #stamp: string | null = null;

  /** @param own in force already, as the first generation, from `file` where there is one */
  constructor(host: LiveRulesHost, own: RuleSet, file: string | null) {
    this.#host = host;
    this.#file = file;
    this.#active = { own, generation: 1, source: "start", sinceUnixMs: Date.now() };
    if (file !== null) this.#stamp = host.stamp(file);
  }

  get active(): Readonly<ActiveRules> {
    return this.#active;
  }

  /** Looks at the file now and then, and reads it again when it has changed. */
  watch(): void {
    const file = this.#file;
    if (file === null) return;
    this.#watching = setInterval(() => {
      const stamp = this.#host.stamp(file);
      // Gone for a moment while an editor replaces it.
      if (stamp === null || stamp === this.#stamp) return;
      this.#stamp = stamp;
      void this.reload();
    }, LOOK_MS);
  }

  /** Reads the file again; what is wrong with it is told, and changes nothing. */
  async reload(): Promise<void> {
    const file = this.#file;
    if (file === null) {
      this.#host.notice("no file of rules was given, so there is none to read again");
      return;
    }
    try {
      const { generation } = await this.#change(
        "file",
        () => parseRuleSet(this.#host.readFile(file), formatOf(file), file),
      );
      this.#host.notice(`the rules of ${file} are in force, as generation ${generation}`);
    } catch (error) {
      this.#host.notice(`the rules stay as they were: ${(error as Error).message}`);
    }
  }

  /**
   * Puts the rules in `text` in force.
   *
   * @throws {SyntaxError} with line and column, for a text that holds no rules
   * @throws {Error} when the kernel takes none or not all of them
   */
  put(text: string, format: "json" | "yaml"): Promise<ActiveRules> {
    return this.#change("api", () => parseRuleSet(text, format, "rules"));
  }

  /**
   * Puts the same rules in force once more, because what is added to them has changed.
   *
   * @throws {Error} when the kernel takes none or not all of them
   */
  refresh(): Promise<ActiveRules> {
    return this.#change(this.#active.source, () => this.#active.own);
  }

  #change(source: ActiveRules["source"], read: () => RuleSet): Promise<ActiveRules> {
    const changed = this.#changes.then(async () => {
      const own = read();
      const generation = await this.#host.apply(own);
      return this.#active = { own, generation, source, sinceUnixMs: Date.now() };
    });
    this.#changes = changed.catch(() => {});
    return changed;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#watching);
  }
}
