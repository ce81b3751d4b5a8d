/** From the options of a command to those of the aggregator: one way for all commands that count. */
import type { AggregatorOptions } from "../aggregate/aggregator_messages.ts";
import { downloadLibbpf } from "../ffi/libbpf_download.ts";
import { assetsDir } from "../runtime/worker_url.ts";
import { AGGREGATOR_FLAGS, type LIBBPF_FLAG } from "./flags/flows.ts";
import type { FlagValues } from "./flags/kinds.ts";

/** Options that come from something else than one flag. */
const DERIVED = ["windowAuto", "activity"] as const satisfies (keyof AggregatorOptions)[];

const NAMES: readonly string[] = [...Object.keys(AGGREGATOR_FLAGS), ...DERIVED];

/** What a command without a flag for it asks for: no flow is named, and all are counted. */
const DEFAULTS = { topMax: 1, filter: "" } satisfies Partial<AggregatorOptions>;

type Given = Omit<AggregatorOptions, "interfaces" | "assetsDir" | "libbpfPath" | keyof typeof DEFAULTS>;

/**
 * The options of the aggregator among those of a command, whichever flags the command has. Downloads libbpf where
 * `--libbpf-url` says so.
 *
 * @param interfaces to watch
 * @throws {Error} when libbpf cannot be had
 */
export async function aggregatorOptions<Options extends Given & FlagValues<typeof LIBBPF_FLAG>>(
  options: Options,
  interfaces: string[],
): Promise<AggregatorOptions> {
  const chosen = Object.fromEntries(Object.entries(options).filter(([name]) => NAMES.includes(name)));
  const libbpfPath = await downloadLibbpf(options.libbpfUrl);
  return { ...DEFAULTS, ...chosen as Given, interfaces, assetsDir: assetsDir(), libbpfPath };
}
