/** `ebpfmon doctor`: its whole table is what expected.json says of this kernel. */
import { assertEquals, assertMatch } from "../../assert.ts";
import type { CliResult, JsonObject } from "../../support/cli.ts";
import { differences, EXPECTED, type FeatureState } from "../expected.ts";
import { WITHOUT_LIBBPF } from "./bad_day.ts";
import { runToEnd } from "./programs_run.ts";
import { subject } from "./subject.ts";

/** Feature name to its state, of any line that names a feature or a command. */
export function statesOf(objects: JsonObject[]): Record<string, FeatureState> {
  const rows = objects.filter(({ type, works }) => type !== "summary" && works !== undefined);
  return Object.fromEntries(rows.map((row) => {
    const name = row.type === "feature" ? row.feature : `${row.type} ${row[row.type]}`;
    return [name, row.works === true ? row.way ?? true : row.works];
  }));
}

/** What libbpf it found: `version 1.1, embedded`. */
export function libbpfOf({ objects }: CliResult): string {
  return objects.find(({ feature }) => feature === "libbpf")?.why ?? "no line about libbpf";
}

export const doctor = subject({
  name: "doctor",
  limitSeconds: 150,
  async gather(guest) {
    const result = await runToEnd(guest, ["doctor", "--json"], { prefix: WITHOUT_LIBBPF });
    const states = statesOf(result.objects);
    for (const [name, state] of Object.entries(states)) guest.fact("features", name, state);
    guest.fact("exit", "doctor", result.code);
    return { result, states };
  },
  checks: {
    "every feature is as expected of this kernel": ({ states }, { kernel }) => {
      assertEquals(differences(EXPECTED.features, kernel, states), []);
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
