/** `ebpfmon doctor`: its whole table is what expected.json says of this kernel. */
import { assertEquals, assertMatch } from "../../assert.ts";
import type { CliResult, JsonObject } from "../../support/cli.ts";
import { differences, EXPECTED, type FeatureState } from "../expected.ts";
import { WITHOUT_LIBBPF } from "./bad_day.ts";
import { runToEnd } from "./programs_run.ts";
import { subject } from "./subject.ts";

/** Feature to the way in which it works, or false. */
export function statesOf(objects: JsonObject[]): Record<string, FeatureState> {
  const features = objects.filter(({ type }) => type === "feature");
  return Object.fromEntries(features.map(({ feature, works, way }) => [feature, works ? way : false]));
}

/** Command to its verdict. */
export function verdictsOf(objects: JsonObject[]): Record<string, string> {
  const commands = objects.filter(({ type }) => type === "command");
  return Object.fromEntries(commands.map(({ command, verdict }) => [command, verdict]));
}

/** What libbpf it found: `version 1.1, embedded`. */
export function libbpfOf({ objects }: CliResult): string {
  return objects.find(({ feature }) => feature === "libbpf")?.way ?? "no line about libbpf";
}

export const doctor = subject({
  name: "doctor",
  limitSeconds: 150,
  async gather(guest) {
    const result = await runToEnd(guest, ["doctor", "--json"], { prefix: WITHOUT_LIBBPF });
    const [states, verdicts] = [statesOf(result.objects), verdictsOf(result.objects)];
    for (const [name, state] of Object.entries(states)) guest.fact("features", name, state);
    for (const [command, verdict] of Object.entries(verdicts)) guest.fact("commands", command, verdict);
    guest.fact("exit", "doctor", result.code);
    return { result, states, verdicts };
  },
  checks: {
    "every feature is as expected of this kernel": ({ states }, { kernel }) => {
      assertEquals(differences(EXPECTED.features, kernel, states), []);
    },
    "every command is judged as expected of this kernel": ({ verdicts }, { kernel }) => {
      assertEquals(differences(EXPECTED.commands, kernel, verdicts), []);
    },
    "the exit code is as expected of this kernel": ({ result }, { kernel }) => {
      assertEquals(result.code, EXPECTED.exit.doctor[kernel]);
    },
    "it says nothing on standard error": ({ result }) => assertEquals(result.stderr, []),
    "where there is no libbpf it uses the embedded one": ({ result }) => {
      assertMatch(libbpfOf(result), /embedded/);
    },
  },
});
