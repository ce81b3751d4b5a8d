/**
 * A BPF object: an ELF file of programs and maps that is opened from memory, configured, then loaded into the kernel.
 */
import { SystemError } from "../runtime/errors.ts";
import { BpfMap, type MapTypeNumber } from "./bpf_map.ts";
import { addressOf, cString, lastErrno } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import { loadRefused } from "./load_failure.ts";

/** Verifier log kept from a failed load. The last lines say why. */
const LOG_BYTES = 1 << 20;

/** BPF_LOG_STATS: the verifier logs a summary only, also for a program that it refuses. */
const LOG_STATISTICS = 4;

export class BpfObject implements Disposable {
  readonly name: string;
  readonly #libbpf: Libbpf;
  readonly #object: Deno.PointerObject;
  /** libbpf reads the ELF and writes the log for as long as the object is open. */
  readonly #held: { elf: Uint8Array<ArrayBuffer>; log: Uint8Array<ArrayBuffer>; name: Uint8Array<ArrayBuffer> };
  #open = true;

  private constructor(
    libbpf: Libbpf,
    name: string,
    object: Deno.PointerObject,
    held: { elf: Uint8Array<ArrayBuffer>; log: Uint8Array<ArrayBuffer>; name: Uint8Array<ArrayBuffer> },
  ) {
    this.#libbpf = libbpf;
    this.name = name;
    this.#object = object;
    this.#held = held;
  }

  /**
   * Parses the ELF; nothing reaches the kernel yet.
   *
   * @param options.statistics true has `verifierLog` sum up the verifier's work, instead of saying why it refuses a
   *   program
   * @throws {SystemError} when `elf` is not a BPF object that this libbpf can read
   */
  static open(
    libbpf: Libbpf,
    name: string,
    elf: Uint8Array<ArrayBuffer>,
    { statistics = false }: { statistics?: boolean } = {},
  ): BpfObject {
    const held = { elf, log: new Uint8Array(LOG_BYTES), name: cString(name) };
    // struct bpf_object_open_opts
    const opts = new DataView(new ArrayBuffer(80));
    opts.setBigUint64(0, 80n, true); // sz
    opts.setBigUint64(8, addressOf(held.name), true); // object_name
    opts.setBigUint64(56, addressOf(held.log), true); // kernel_log_buf
    opts.setBigUint64(64, BigInt(LOG_BYTES), true); // kernel_log_size
    opts.setUint32(72, statistics ? LOG_STATISTICS : 0, true); // kernel_log_level
    const { symbols } = libbpf;
    const { result: { object, errno }, messages: log } = libbpf.captured(() => {
      const object = symbols.bpf_object__open_mem(elf, BigInt(elf.length), new Uint8Array(opts.buffer));
      return { object, errno: object === null ? lastErrno() : 0 };
    });
    if (object === null) throw new SystemError(`open BPF object "${name}"`, errno, { log });
    return new BpfObject(libbpf, name, object, held);
  }

  /** Chooses whether `load` loads a program; all are by default. */
  setAutoload(program: string, load: boolean): void {
    this.#check(this.#libbpf.symbols.bpf_program__set_autoload(this.#program(program), load), `configure "${program}"`);
  }

  /** Sets a map's capacity before `load`. */
  setMaxEntries(map: string, entriesMax: number): void {
    this.#check(this.#libbpf.symbols.bpf_map__set_max_entries(this.#map(map), entriesMax), `size map "${map}"`);
  }

  /** Replaces one of the object's maps by an existing map; to be called before `load`. */
  reuseMap(map: string, existing: BpfMap): void {
    this.#check(this.#libbpf.symbols.bpf_map__reuse_fd(this.#map(map), existing.fd), `reuse map "${map}"`);
  }

  /** Sets the shape of the inner maps of a map of maps before `load`; `template` can be disposed of after that. */
  setInnerMap(map: string, template: BpfMap): void {
    this.#check(this.#libbpf.symbols.bpf_map__set_inner_map_fd(this.#map(map), template.fd), `shape map "${map}"`);
  }

  /**
   * The initial bytes of a data section (`.rodata`, `.data`, `.bss`), writable until `load` and lent until disposal.
   */
  initialValue(section: string): DataView<ArrayBuffer> {
    const size = new BigUint64Array(1);
    const value = this.#libbpf.symbols.bpf_map__initial_value(this.#map(section), new Uint8Array(size.buffer));
    if (value === null) throw new SystemError(`find section "${section}" of "${this.name}"`, lastErrno());
    return new DataView(Deno.UnsafePointerView.getArrayBuffer(value, Number(size[0])));
  }

  /**
   * Creates the maps and loads the programs.
   *
   * @throws {PrivilegeError} when capabilities are missing
   * @throws {UnsupportedError} when the verifier or the kernel refuses; the log goes with it, for `--debug`
   */
  load(): void {
    const { result, messages } = this.#libbpf.captured(() => this.#libbpf.symbols.bpf_object__load(this.#object));
    if (result === 0) return;
    throw loadRefused({ object: this.name, errno: -result, messages, verifierLog: this.verifierLog() });
  }

  /** The verifier's log of the program that was loaded last. */
  verifierLog(): string {
    const end = this.#held.log.indexOf(0);
    return new TextDecoder().decode(this.#held.log.subarray(0, end < 0 ? LOG_BYTES : end));
  }

  /** A map of the loaded object; the object closes it. */
  map(name: string): BpfMap {
    const { symbols } = this.#libbpf;
    const map = this.#map(name);
    return new BpfMap(
      this.#libbpf,
      this.#check(symbols.bpf_map__fd(map), `use map "${name}"`),
      {
        name,
        type: symbols.bpf_map__type(map) as MapTypeNumber,
        keyBytes: symbols.bpf_map__key_size(map),
        valueBytes: symbols.bpf_map__value_size(map),
        entriesMax: symbols.bpf_map__max_entries(map),
      },
      false,
    );
  }

  /** Descriptor of a loaded program; the object closes it. */
  programFd(name: string): number {
    return this.#check(this.#libbpf.symbols.bpf_program__fd(this.#program(name)), `use program "${name}"`);
  }

  /** libbpf's pointer to a program, for attaching by its section's name. */
  programPointer(name: string): Deno.PointerObject {
    return this.#program(name);
  }

  /** Names of all programs in the ELF, loaded or not. */
  programNames(): string[] {
    const { symbols } = this.#libbpf;
    const names: string[] = [];
    let program = symbols.bpf_object__next_program(this.#object, null);
    while (program !== null) {
      names.push(Deno.UnsafePointerView.getCString(symbols.bpf_program__name(program)!));
      program = symbols.bpf_object__next_program(this.#object, program);
    }
    return names;
  }

  #program(name: string): Deno.PointerObject {
    const program = this.#libbpf.symbols.bpf_object__find_program_by_name(this.#object, cString(name));
    if (program === null) throw new SystemError(`find program "${name}" in "${this.name}"`, lastErrno());
    return program;
  }

  #map(name: string): Deno.PointerObject {
    const map = this.#libbpf.symbols.bpf_object__find_map_by_name(this.#object, cString(name));
    if (map === null) throw new SystemError(`find map "${name}" in "${this.name}"`, lastErrno());
    return map;
  }

  /** @returns `result` unless it is -errno */
  #check(result: number, action: string): number {
    if (result < 0) throw new SystemError(`${action} of "${this.name}"`, -result);
    return result;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#libbpf.symbols.bpf_object__close(this.#object);
  }
}
