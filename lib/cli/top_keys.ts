/** The keys of `top`: what each changes, and the line that is typed after `/`. */
import {
  ACTIVITY_GROUPINGS,
  type ActivityArrangement,
  type ActivityOrder,
} from "../aggregate/activity/activity_options.ts";

const ORDER_KEYS: Record<string, ActivityOrder> = {
  c: "calls",
  t: "time",
  e: "errors",
  b: "bytes",
  i: "in",
  o: "out",
};

const ENTER = ["\r", "\n"];
const BACKSPACE = ["\x7f", "\b"];
const ESCAPE = "\x1b", CLEAR_LINE = "\x15";
/** Bytes of a command's name in the kernel. */
const TYPED_MAX = 15;

export class TopKeys {
  arrangement: ActivityArrangement;
  wide: boolean;
  /** The filter that is being typed; null while no filter is typed. */
  typed: string | null = null;
  readonly #changed: (arrangement: ActivityArrangement) => void;

  /** @param changed is told how the next windows are to be arranged */
  constructor(
    start: { arrangement: ActivityArrangement; wide: boolean },
    changed: (arrangement: ActivityArrangement) => void,
  ) {
    this.arrangement = start.arrangement;
    this.wide = start.wide;
    this.#changed = changed;
  }

  /** Takes a key. @returns true where the key has a meaning here */
  press(key: string): boolean {
    if (this.typed !== null) {
      this.#type(this.typed, key);
      return true;
    }
    if (Object.hasOwn(ORDER_KEYS, key)) {
      this.#arrange({ order: ORDER_KEYS[key] });
      return true;
    }
    switch (key) {
      case "g": {
        const next = (ACTIVITY_GROUPINGS.indexOf(this.arrangement.by) + 1) % ACTIVITY_GROUPINGS.length;
        this.#arrange({ by: ACTIVITY_GROUPINGS[next] });
        return true;
      }
      case "w":
        this.wide = !this.wide;
        return true;
      case "/":
        this.typed = this.arrangement.comm;
        return true;
      default:
        return false;
    }
  }

  #type(typed: string, key: string): void {
    if (ENTER.includes(key)) {
      this.typed = null;
      this.#arrange({ comm: typed });
    } else if (key === ESCAPE) {
      this.typed = null;
    } else if (key === CLEAR_LINE) {
      this.typed = "";
    } else if (BACKSPACE.includes(key)) {
      this.typed = Array.from(typed).slice(0, -1).join("");
    } else if (key >= " " && new TextEncoder().encode(typed + key).length <= TYPED_MAX) {
      this.typed = typed + key;
    }
  }

  #arrange(change: Partial<ActivityArrangement>): void {
    this.arrangement = { ...this.arrangement, ...change };
    this.#changed(this.arrangement);
  }
}
