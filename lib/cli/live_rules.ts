/**
 * The rules of a run while it runs: from a file, again on SIGHUP or when it changes, or from the API. Changes are made one
 * after another; one that is wrong leaves everything as it was.
 */
import type { RuleSet } from "../events/rule_set.ts";
import { parseRuleSet } from "../events/rules.ts";
import { formatOf } from "./flags/events.ts";

/** The rules in force, and since when. */
export interface ActiveRules {
  /** The operator's rules, without the built-in rules. */
  own: RuleSet;
  /** Number of this set of rules, which event records carry. */
  generation: number;
  source: "start" | "file" | "api";
  sinceUnixMs: number;
}

/** What `LiveRules` needs from its surroundings. */
export interface LiveRulesHost {
  /**
   * Puts rules in force, together with the built-in rules. @returns their generation @throws {Error} when the kernel
   * refuses them
   */
  apply(own: RuleSet): Promise<number>;
  readFile(path: string): string;
  /** A text that differs when the file may have changed; null while there is no file. */
  stamp(path: string): string | null;
  notice(text: string): void;
}

/** Time between two looks at the file. */
const LOOK_MS = 1_000;

export const NO_RULES: RuleSet = { rules: [] };

export class LiveRules implements Disposable {
  readonly #host: LiveRulesHost;
  readonly #file: string | null;
  #active: ActiveRules;
  #changes: Promise<unknown> = Promise.resolve();
  #watching: ReturnType<typeof setInterval> | undefined;
  #stamp: string | null = null;

  /**
   * @param own the rules that are in force already, as the first generation @param file that they are from; null for
   * none
   */
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
      // An editor that replaces the file removes it for a moment.
      if (stamp === null || stamp === this.#stamp) return;
      this.#stamp = stamp;
      void this.reload();
    }, LOOK_MS);
  }

  /** Reads the file again. A file that is wrong is told in a notice, and changes nothing. */
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
