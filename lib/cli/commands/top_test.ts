import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { DEFAULT_ARRANGEMENT } from "../../aggregate/activity/process_reducer.ts";
import { UsageError } from "../flags/usage.ts";
import type { TopOptions } from "./top.ts";
import { parseCommandLine } from "./mod.ts";

function top(...words: string[]): TopOptions {
  const parsed = parseCommandLine(["top", ...words], () => "{}");
  assert(parsed.command === "top");
  return parsed.options;
}

const DEFAULTS: TopOptions = {
  json: false,
  quiet: false,
  debug: false,
  durationSeconds: null,
  windowMs: 1000,
  activity: {
    ...DEFAULT_ARRANGEMENT,
    entriesMax: 8_192,
    entriesMaxLimit: 131_072,
    sampling: 1,
    topMax: 20,
    totalsMax: 0,
  },
  wide: false,
  libbpfUrl: "",
};

Deno.test("top without arguments shows processes by calls", () => {
  assertEquals(top(), DEFAULTS);
});

Deno.test("top takes every flag", () => {
  const words = "--json --quiet --debug --duration 2 --window 500 --top 3 --sort time --by user --syscall openat " +
    "--comm ngi --pid 7 --uid 0 --sampling 16 -o wide";
  const { activity } = DEFAULTS;
  const choice = { order: "time", by: "user", syscall: "openat", comm: "ngi", pid: 7, uid: 0 } as const;
  assertEquals(top(...words.split(" ")), {
    ...DEFAULTS,
    json: true,
    quiet: true,
    debug: true,
    durationSeconds: 2,
    windowMs: 500,
    activity: { ...activity, ...choice, topMax: 3, sampling: 16 },
    wide: true,
  });
  assertEquals(top("--output", "wide").wide, true);
});

Deno.test("top takes calls of any machine's table, and refuses what is none", () => {
  assertEquals(top("--syscall", "waitpid").activity.syscall, "waitpid");
  for (
    const words of [["--syscall", "opennat"], ["--sort", "size"], ["--by", "pid"], ["--sampling", "0"], ["-o", "x"], [
      "--comm",
      "",
    ], ["eth0"]]
  ) {
    assertThrows(() => top(...words), UsageError);
  }
});
