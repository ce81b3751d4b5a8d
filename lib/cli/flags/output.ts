/** Flags of nearly all commands: what is printed, for how long, and where HTTP is served. */
import { type ConfigFlag, type FlagValues, listenFlag, seconds, switchFlag, textFlag, valueFlag } from "./kinds.ts";

export const OUTPUT_FLAGS = {
  json: switchFlag("json", "one JSON object a line on stdout, and nothing else there"),
  quiet: switchFlag("quiet", "no notices on stderr, only errors"),
  debug: switchFlag("debug", "with an error, its stack or the verifier's whole log"),
};

export type OutputOptions = FlagValues<typeof OUTPUT_FLAGS>;

/** For commands whose `--config` holds flags; that of `events` holds rules. */
export const CONFIG_FLAG = {
  config: {
    ...textFlag({
      name: "config",
      value: "FILE",
      help: "JSON file with flags of this command by their long names; the command line wins",
      takes: "the name of a file",
      completes: "file",
    }),
    holdsFlags: true,
  } satisfies ConfigFlag,
};

/** null: until told to stop. */
export const DURATION_FLAG = {
  durationSeconds: valueFlag<number | null>({
    name: "duration",
    ...seconds("S", null, "stop after so many seconds"),
  }),
};

/** null: no HTTP. */
export const LISTEN_FLAG = {
  listen: listenFlag("listen", { hostname: "127.0.0.1", port: 9464 }, "address of the HTTP server"),
};
