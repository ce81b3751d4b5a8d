/** lockdown=integrity. The level cannot be lowered again, so this comes last. */
import { assertEquals, assertMatch } from "../../assert.ts";
import { libbpfOf, statesOf } from "./doctor.ts";
import { differences, EXPECTED } from "../expected.ts";
import { runToEnd } from "./programs_run.ts";
import { Skip, subject } from "./subject.ts";

const LEVEL = "/sys/kernel/security/lockdown";

export const lockdown = subject({
  name: "lockdown",
  limitSeconds: 120,
  async gather(guest) {
    const has = await Deno.stat(LEVEL).then(() => true, () => false);
    if (!has) return null;
    await Deno.writeTextFile(LEVEL, "integrity");
    return { level: await Deno.readTextFile(LEVEL), result: await runToEnd(guest, ["doctor", "--json"]) };
  },
  checks: {
    "with integrity everything works as without": (evidence, { kernel }) => {
      if (evidence === null) throw new Skip("this kernel has no lockdown");
      assertMatch(evidence.level, /\[integrity\]/);
      // Here the system's is found, and elsewhere the embedded one.
      const { libbpf: _found, ...states } = statesOf(evidence.result.objects);
      const { libbpf: _expected, ...expected } = EXPECTED.features;
      assertEquals(differences(expected, kernel, states), []);
    },
    "where there is a libbpf of the system it is used": (evidence) => {
      if (evidence === null) throw new Skip("this kernel has no lockdown");
      assertMatch(libbpfOf(evidence.result), /system/);
    },
  },
});
