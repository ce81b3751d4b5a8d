import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { UsageError } from "../flags/usage.ts";
import type { PipelineCommandOptions } from "./pipeline.ts";
import { parseCommandLine } from "./mod.ts";

function pipeline(words: string): PipelineCommandOptions {
  const parsed = parseCommandLine(["pipeline", ...words.split(" ").filter((word) => word !== "")], () => "");
  assert(parsed.command === "pipeline");
  return parsed.options;
}

/** The message without what every one has. */
function mistake(words: string): string {
  const { message } = assertThrows(() => pipeline(words), UsageError);
  const [, text] = /^ebpfmon pipeline: (.*); see ebpfmon pipeline --help$/.exec(message) ?? [];
  assert(text !== undefined, message);
  return text;
}

Deno.test("pipeline without arguments runs the kernel's events through one worker that drops nothing", () => {
  const { action, simulate, rate, delayMs, kernel, placement, channel, policy, filter, deadLetters, durationSeconds } =
    pipeline("");
  assertEquals({ action, simulate, rate, delayMs, kernel, placement, channel, policy }, {
    action: "run",
    simulate: null,
    rate: 0,
    delayMs: 0,
    kernel: true,
    placement: { kind: "one" },
    channel: "shared",
    policy: "block",
  });
  assertEquals({ filter, deadLetters, durationSeconds }, { filter: "", deadLetters: null, durationSeconds: null });
});

Deno.test("pipeline takes every flag", () => {
  const words = "--simulate 100 --rate 50 --delay 3 --no-kernel --placement fan-out --enrich-workers 3 " +
    "--distribution round-robin --channel queue --policy drop-oldest --filter tcp --dead-letters f --duration 2 " +
    "--listen off --json --quiet --debug";
  const options = pipeline(words);
  assertEquals(options, {
    ...pipeline(""),
    json: true,
    quiet: true,
    debug: true,
    listen: null,
    durationSeconds: 2,
    simulate: 100,
    rate: 50,
    delayMs: 3,
    kernel: false,
    placement: { kind: "fan_out", enrichWorkers: 3, distribution: "round_robin" },
    channel: "queue",
    policy: "drop_oldest",
    filter: "tcp",
    deadLetters: "f",
  });
  assertEquals(pipeline("--placement each").placement, { kind: "each" });
  assertEquals(pipeline("replay --dead-letters f").action, "replay");
});

Deno.test("pipeline refuses what does not go together", () => {
  assertEquals(mistake("dead-letters"), "dead-letters takes --dead-letters FILE");
  assertEquals(mistake("replay"), "replay takes --dead-letters FILE");
  assertEquals(mistake("replay --dead-letters f --simulate 5"), "replay takes no --simulate");
  assertEquals(mistake("--no-kernel"), "--no-kernel takes --simulate N");
  assertEquals(mistake("--rate 5"), "--rate takes --simulate N");
  for (const words of ["--simulate x", "--policy fail", "--channel pipe", "--placement two", "--enrich-workers 0"]) {
    const [flag] = words.split(" ");
    assert(mistake(words).startsWith(`${flag} takes `), words);
  }
});
