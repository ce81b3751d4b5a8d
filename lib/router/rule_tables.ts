/**
 * The double-buffered maps that hold one rule set in the kernel: exact values, paths, networks and the rules' settings.
 */
import type { RuleSet } from "../events/rule_set.ts";
import type { BpfObject } from "../ffi/bpf_object.ts";
import { bytesCodec } from "../ffi/double_buffer_codec.ts";
import { ActivePointer } from "../ffi/double_buffer_pointer.ts";
import { FixedSideMaps } from "../ffi/double_buffer_side_maps.ts";
import type { RcuFence } from "../ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../ffi/double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../ffi/double_buffered_table.ts";
import { RULE_BITS, RULE_KEY, RULE_NET_KEY, RULE_PATH_KEY, RULE_SET, RULE_STRUCTURE } from "../wire/layouts.gen.ts";
import { type Bytes, compileRules } from "./rule_maps.ts";

/** The maps of one rule set. They share one pointer, so that a new rule set replaces the old one in a single store. */
export class RuleTables {
  readonly #pointer: ActivePointer;
  readonly #sets: DoubleBufferedArray<Bytes>;
  readonly #values: DoubleBufferedHash<Bytes, Bytes>;
  readonly #paths: DoubleBufferedLpm<Bytes, Bytes>;
  readonly #nets: DoubleBufferedLpm<Bytes, Bytes>;

  /** @param generation the word in the object's .bss by which programs know the rules in force */
  constructor(object: BpfObject, generation: { buffer: ArrayBuffer; offset: number }, fence: RcuFence) {
    const sides = (name: string) => new FixedSideMaps([object.map(`${name}_side0`), object.map(`${name}_side1`)]);
    const value = bytesCodec(RULE_BITS.size);
    this.#pointer = new ActivePointer(generation, fence);
    this.#sets = new DoubleBufferedArray(this.#pointer, RULE_STRUCTURE.RULE_SETS, {
      sides: sides("rule_sets"),
      codec: bytesCodec(RULE_SET.size),
    });
    this.#values = new DoubleBufferedHash(this.#pointer, RULE_STRUCTURE.RULE_VALUES, {
      sides: sides("rule_values"),
      key: bytesCodec(RULE_KEY.size),
      value,
    });
    this.#paths = new DoubleBufferedLpm(this.#pointer, RULE_STRUCTURE.RULE_PATHS, {
      sides: sides("rule_paths"),
      key: bytesCodec(RULE_PATH_KEY.size),
      value,
    });
    this.#nets = new DoubleBufferedLpm(this.#pointer, RULE_STRUCTURE.RULE_NETS, {
      sides: sides("rule_nets"),
      key: bytesCodec(RULE_NET_KEY.size),
      value,
    });
  }

  /**
   * Compiles a rule set, writes it to the passive sides and puts all of it in force at once.
   *
   * @param rateLimit for a rule set that names none
   * @returns the generation of the new rules
   * @throws {RangeError} when the maps have no room for the rules
   * @throws {SystemError} when the kernel refuses an update. After any error the old rules stay in force
   */
  set(ruleSet: RuleSet, rateLimit: number): number {
    const compiled = compileRules(ruleSet, rateLimit);
    using change = this.#sets.setAndDeferSwitchover([compiled.set]);
    this.#values.setAndDeferSwitchover(compiled.values);
    this.#paths.setAndDeferSwitchover(compiled.paths);
    this.#nets.setAndDeferSwitchover(compiled.nets);
    return change.flip();
  }
}
