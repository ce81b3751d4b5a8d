/** Help texts, made from the table of commands. */

import type { CommandSpec, CommandTable, PositionalSpec } from "./command.ts";
import type { Flag } from "./flags/kinds.ts";

const EXIT_CODES = `Exit codes:
  0  done, by Ctrl-C and SIGTERM too
  1  failed while running
  2  wrong usage
  3  missing privilege: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON
  4  the kernel lacks something, or another program holds the place
  5  doctor found that only a part works here
`;

/** Help of the whole program. */
export function programHelp(commands: CommandTable): string {
  const rows = Object.entries(commands)
    .map(([name, { spec }]): [string, string] => [synopsis(name, spec), spec.summary]);
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
export function commandHelp(name: string, command: CommandSpec): string {
  const flags = Object.values<Flag>(command.flags).map((flag): [string, string] => [flagUsage(flag), flagHelp(flag)]);
  const positionals = positionalsOf(command).map(({ spec }): [string, string] => [spec.value, spec.help]);
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
  const positionals = positionalsOf(command).map(({ spec, required, repeated }) => {
    const text = repeated ? `${spec.value}...` : spec.value;
    return required ? text : `[${text}]`;
  });
  return [name, ...positionals].join(" ");
}

function positionalsOf(command: CommandSpec): PositionalSpec<unknown>[] {
  return Object.values(command.positionals);
}

function flagUsage({ name, value }: Flag): string {
  return value === null ? `--${name}` : `--${name} ${value}`;
}

function flagHelp(flag: Flag): string {
  return flag.value === null || flag.fallbackText === undefined ? flag.help : `${flag.help} [${flag.fallbackText}]`;
}

/** Rows of two columns, each with its newline. */
function columns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}
