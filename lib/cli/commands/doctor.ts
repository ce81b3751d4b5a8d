/** `ebpfmon doctor`: its flags. */
import { command, type OptionsOf } from "../command.ts";
import { OUTPUT_FLAGS } from "../flags/output.ts";

export const doctor = command({
  summary: "what works on this machine, what does not, and what to do",
  description: "Loads each kind of program and says whether the kernel takes it. Changes nothing.",
  positionals: {},
  flags: { ...OUTPUT_FLAGS },
  examples: [["sudo ebpfmon doctor", "check this machine"]],
});

export type DoctorOptions = OptionsOf<typeof doctor>;
