/** Help texts, made from the table of commands. */

import { type CommandName, COMMANDS, type CommandSpec } from "./commands.ts";
import type { FlagSpec } from "./flags.ts";

const EXIT_CODES = `Exit codes:
  0  done, by Ctrl-C and SIGTERM too
  1  failed while running
  2  wrong usage
  3  missing privilege: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON
  4  the kernel lacks something, or another program holds the place
  5  doctor found that only a part works here
`;

/** Help of the whole program. */
export function programHelp(): string {
  const rows = Object.entries<CommandSpec>(COMMANDS)
    .map(([name, command]): [string, string] => [synopsis(name, command), command.summary]);
  return `ebpfmon watches a Linux host through eBPF.

Usage: ebpfmon COMMAND [ARGUMENTS]

Commands:
${columns(rows)}
Flags:
${columns([["-h, --help", "this help, or that of a command"], ["-V, --version", "the version"]])}
ebpfmon COMMAND --help says more about a command.

${EXIT_CODES}`;
}

/** Help of one command. */
export function commandHelp(name: CommandName): string {
  const command: CommandSpec = COMMANDS[name];
  const flags = Object.entries(command.flags).map((
    [flag, spec],
  ): [string, string] => [flagUsage(flag, spec), flagHelp(spec)]);
  const positionals = Object.values(command.positionals).map(({ spec }): [string, string] => [spec.value, spec.help]);
  return `ebpfmon ${name}: ${command.summary}

Usage: ebpfmon ${synopsis(name, command)}${flags.length > 0 ? " [FLAGS]" : ""}

${command.description}

${positionals.length > 0 ? `Arguments:\n${columns(positionals)}\n` : ""}Flags:
${columns([...flags, ["-h, --help", "this help"]])}
Examples:
${command.examples.map(([line, meaning]) => `  # ${meaning}\n  ${line}\n`).join("")}
${EXIT_CODES}`;
}

function synopsis(name: string, command: CommandSpec): string {
  const positionals = Object.values(command.positionals).map(({ spec, required, repeated }) => {
    const text = repeated ? `${spec.value}...` : spec.value;
    return required ? text : `[${text}]`;
  });
  return [name, ...positionals].join(" ");
}

function flagUsage(flag: string, spec: FlagSpec): string {
  return spec.value === null ? `--${flag}` : `--${flag} ${spec.value}`;
}

function flagHelp(spec: FlagSpec): string {
  return spec.value === null || spec.fallbackText === undefined ? spec.help : `${spec.help} [${spec.fallbackText}]`;
}

/** Rows of two columns, each with its newline. */
function columns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}
