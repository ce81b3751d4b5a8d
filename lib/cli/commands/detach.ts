/** `ebpfmon detach`: its flags. */
import { command, type OptionsOf, repeated } from "../command.ts";
import { INTERFACE } from "../flags/flows.ts";
import { switchFlag } from "../flags/kinds.ts";
import { OUTPUT_FLAGS } from "../flags/output.ts";

export const detach = command({
  summary: "remove the filters that a killed instance left behind",
  description:
    "Before Linux 6.6 what counts at egress is called by a filter, which outlives a kill -9, though it then does nothing.\n" +
    "Any start of ebpfmon that attaches removes such filters, and so does this. Filters of running instances stay.\n" +
    "The clsact qdisc stays too: others may use it.",
  positionals: {
    interfaces: repeated({ ...INTERFACE, help: "interface to look at; all of them where none is given" }),
  },
  flags: { ...OUTPUT_FLAGS, force: switchFlag("force", "remove filters of running instances too") },
  examples: [
    ["sudo ebpfmon detach", "on all interfaces"],
    ["sudo ebpfmon detach eth0 --force", "on eth0, even if an instance is running"],
  ],
});

export type DetachOptions = OptionsOf<typeof detach>;
