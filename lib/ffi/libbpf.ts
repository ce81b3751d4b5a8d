/** Opens libbpf: the system's, or the copy that is embedded with its libelf and zlib. */
import { UnsupportedError } from "../runtime/errors.ts";
import { closeFd, formatVaList, lockProcess, memoryFile, pinLibrary } from "./libc.ts";
import { LIBBPF_SYMBOLS } from "./libbpf_symbols.ts";

const SYSTEM_LIBBPF = "libbpf.so.1";

/** Where libbpf came from; `path`: the file that `--libbpf-url` fetched. */
export type LibbpfSource = "system" | "embedded" | "path";
type Symbols = Deno.DynamicLibrary<typeof LIBBPF_SYMBOLS>["symbols"];

/** An open libbpf. Everything that was made with it must be disposed of first. */
export class Libbpf implements Disposable {
  readonly symbols: Symbols;
  readonly source: LibbpfSource;
  /** Without the leading `v`. */
  readonly version: string;
  readonly #libraries: { close(): void }[];
  readonly #memoryFds: number[];
  #closed = false;

  /** Use `openLibbpf`. */
  constructor(
    library: Deno.DynamicLibrary<typeof LIBBPF_SYMBOLS>,
    source: LibbpfSource,
    held: { libraries: { close(): void }[]; memoryFds: number[] },
  ) {
    this.symbols = library.symbols;
    this.source = source;
    this.#libraries = [library, ...held.libraries];
    this.#memoryFds = held.memoryFds;
    this.version = Deno.UnsafePointerView.getCString(library.symbols.libbpf_version_string()!).replace(/^v/, "");
    // By default libbpf prints many lines to stderr; an operator is to get one.
    library.symbols.libbpf_set_print(null);
  }

  /**
   * Makes a call, and returns what libbpf prints meanwhile, one line for each message. libbpf has one print callback
   * for the whole process, so workers capture one after another. The callback is removed after the call: Deno would run
   * it on this thread for other threads, too, which would have to wait.
   */
  captured<T>(call: () => T): { result: T; messages: string } {
    using _lock = lockProcess();
    const messages: string[] = [];
    const printer = new Deno.UnsafeCallback(PRINT_CALLBACK, (_level, format, args) => {
      messages.push(formatVaList(format, args).trimEnd());
      return 0;
    });
    this.symbols.libbpf_set_print(printer.pointer);
    try {
      return { result: call(), messages: messages.join("\n") };
    } finally {
      this.symbols.libbpf_set_print(null);
      printer.close();
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const library of this.#libraries) library.close();
    for (const fd of this.#memoryFds) closeFd(fd);
  }
}

const PRINT_CALLBACK = {
  parameters: ["i32", "pointer", "pointer"],
  result: "i32",
} as const satisfies Deno.UnsafeCallbackDefinition;

/**
 * Names of the embedded libraries, each before those that need it: the loader finds a library that is already open by
 * its name, so no search path is needed.
 */
function* embeddedLibraries(dir: string): Generator<string> {
  const names = [...Deno.readDirSync(dir)].map((entry) => entry.name).filter((name) => name.includes(".so"));
  const last = ["libelf.so.1", SYSTEM_LIBBPF];
  yield* names.filter((name) => !last.includes(name)).sort();
  yield* last;
}

function openEmbedded(dir: string): Libbpf {
  const libraries: { close(): void }[] = [];
  const memoryFds: number[] = [];
  const open = <S extends Deno.ForeignLibraryInterface>(name: string, symbols: S): Deno.DynamicLibrary<S> => {
    const fd = memoryFile(name, Deno.readFileSync(`${dir}/${name}`));
    memoryFds.push(fd);
    return Deno.dlopen(`/proc/self/fd/${fd}`, symbols);
  };
  for (const name of embeddedLibraries(dir)) {
    if (name === SYSTEM_LIBBPF) {
      const library = open(name, LIBBPF_SYMBOLS);
      pinLibrary(SYSTEM_LIBBPF);
      return new Libbpf(library, "embedded", { libraries, memoryFds });
    }
    libraries.push(open(name, {}));
  }
  throw new Deno.errors.NotFound(`no ${SYSTEM_LIBBPF} in ${dir}`);
}

/**
 * Opens libbpf: the file at `path` if one is given, else the system's, else the embedded copy.
 *
 * @param embeddedDir folder with libbpf.so.1 and the libraries it needs
 * @throws {UnsupportedError} when none of them can be opened
 */
export function openLibbpf(options: { path?: string; embeddedDir: string }): Libbpf {
  if (options.path !== undefined) {
    try {
      const library = Deno.dlopen(options.path, LIBBPF_SYMBOLS);
      pinLibrary(options.path);
      return new Libbpf(library, "path", { libraries: [], memoryFds: [] });
    } catch (cause) {
      throw new UnsupportedError(`Cannot open libbpf at ${options.path}: ${(cause as Error).message}`, { cause });
    }
  }
  try {
    const library = Deno.dlopen(SYSTEM_LIBBPF, LIBBPF_SYMBOLS);
    pinLibrary(SYSTEM_LIBBPF);
    return new Libbpf(library, "system", { libraries: [], memoryFds: [] });
  } catch (systemCause) {
    try {
      return openEmbedded(options.embeddedDir);
    } catch (cause) {
      const message = `the system's: ${(systemCause as Error).message}; embedded: ${(cause as Error).message}`;
      throw new UnsupportedError(`Cannot open libbpf: ${message}`, { cause });
    }
  }
}

/** Which libbpf is in use. */
export type LibbpfInfo = Pick<Libbpf, "version" | "source">;
