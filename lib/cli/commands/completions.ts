/** `ebpfmon completions`: its argument. */
import { command, type OptionsOf, required } from "../command.ts";
import { SHELLS } from "../completions.ts";
import { choice } from "../flags/kinds.ts";

export const completions = command({
  summary: "completion script for a shell",
  description: "Prints a script that teaches the shell the commands and flags of ebpfmon.",
  positionals: { shell: required(choice(SHELLS, "bash", "shell to print it for")) },
  flags: {},
  examples: [
    ["ebpfmon completions bash > /etc/bash_completion.d/ebpfmon", "install for bash"],
    ["ebpfmon completions fish > ~/.config/fish/completions/ebpfmon.fish", "install for fish"],
  ],
});

export type CompletionsOptions = OptionsOf<typeof completions>;
