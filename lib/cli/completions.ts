/** Completion scripts, made from the table of commands. */

import type { CommandSpec, CommandTable, PositionalSpec } from "./command.ts";
import type { Flag, ValueSpec } from "./flags/kinds.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

const INTERFACES = "command ls /sys/class/net 2>/dev/null";

/** A word that a shell offers, and what the word means. */
type Described = [word: string, help: string];

type Commands = [name: string, command: CommandSpec][];

const SCRIPTS: Record<Shell, (commands: Commands) => string> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** The script that teaches `shell` to complete ebpfmon. */
export function completionScript(shell: Shell, commands: CommandTable): string {
  return SCRIPTS[shell](Object.entries(commands).map(([name, { spec }]) => [name, spec]));
}

function flagsOf(command: CommandSpec): Flag[] {
  return Object.values(command.flags);
}

function flagWords(command: CommandSpec): Described[] {
  return [...flagsOf(command).map(({ name, help }): Described => [`--${name}`, help]), ["--help", "this help"]];
}

function valueOf(command: CommandSpec, word: string): ValueSpec<unknown> | null {
  const flag = flagsOf(command).find(({ name }) => `--${name}` === word);
  return flag === undefined || flag.value === null ? null : flag;
}

/** Flags that take a value, by command: two commands may have a flag of one name with different values. */
function valueFlags(commands: Commands): [commandAndFlag: string, spec: ValueSpec<unknown>][] {
  return commands.flatMap(([name, command]) =>
    flagsOf(command).flatMap((flag): [string, ValueSpec<unknown>][] =>
      flag.value === null ? [] : [[`${name}:--${flag.name}`, flag]]
    )
  );
}

/** The positional argument of a command that a shell can complete; no command has two that complete differently. */
function positionalSpec(command: CommandSpec): ValueSpec<unknown> | undefined {
  return Object.values<PositionalSpec<unknown>>(command.positionals).map(({ spec }) => spec).find((
    { choices, completes },
  ) => choices ?? completes);
}

function bashScript(commands: Commands): string {
  const generator = (spec?: ValueSpec<unknown>) => {
    if (spec?.choices) return `COMPREPLY=($(compgen -W "${spec.choices.join(" ")}" -- "$word"))`;
    if (spec?.completes === "interface") return `COMPREPLY=($(compgen -W "$(${INTERFACES})" -- "$word"))`;
    return spec?.completes === "file" ? 'COMPREPLY=($(compgen -f -- "$word"))' : "COMPREPLY=()";
  };
  const names = [...commands.map(([name]) => name), "help", "--help", "--version"];
  return `# bash completion for ebpfmon
_ebpfmon() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]}:$previous in
${valueFlags(commands).map(([flag, spec]) => `    ${flag}) ${generator(spec)}; return ;;\n`).join("")}  esac
  if [[ $word == -* ]]; then
    case \${COMP_WORDS[1]} in
${
    commands.map(([name, command]) => {
      const words = flagWords(command).map(([flag]) => flag).join(" ");
      return `      ${name}) COMPREPLY=($(compgen -W "${words}" -- "$word")) ;;\n`;
    }).join("")
  }    esac
    return
  fi
  case \${COMP_WORDS[1]} in
    help) COMPREPLY=($(compgen -W "${commands.map(([name]) => name).join(" ")}" -- "$word")) ;;
${commands.map(([name, command]) => `    ${name}) ${generator(positionalSpec(command))} ;;\n`).join("")}  esac
}
complete -F _ebpfmon ebpfmon
`;
}

function zshScript(commands: Commands): string {
  const action = (spec?: ValueSpec<unknown>) => {
    if (spec?.choices) return `(${spec.choices.join(" ")})`;
    return spec?.completes === "interface" ? "_net_interfaces" : spec?.completes === "file" ? "_files" : " ";
  };
  // Inside _arguments a colon, a bracket and a backslash are syntax.
  const plain = (text: string) => text.replace(/[\\:[\]]/g, "\\$&");
  return `#compdef ebpfmon
_ebpfmon() {
  local -a commands
  commands=(
${commands.map(([name, command]) => `    ${singleQuoted(`${name}:${command.summary}`)}\n`).join("")}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
    help) _describe command commands ;;
${
    commands.map(([name, command]) => {
      const specs = [
        ...flagWords(command).map(([flag, help]) => {
          const spec = valueOf(command, flag);
          const value = spec === null ? "" : `:${plain(spec.value)}:${action(spec)}`;
          return `${flag}[${plain(help)}]${value}`;
        }),
        `*:argument:${action(positionalSpec(command))}`,
      ];
      return `    ${name})\n      _arguments \\\n${
        specs.map((spec) => `        ${singleQuoted(spec)}`).join(" \\\n")
      }\n      ;;\n`;
    }).join("")
  }  esac
}
if [[ $funcstack[1] == _ebpfmon ]]; then
  _ebpfmon "$@"
else
  compdef _ebpfmon ebpfmon
fi
`;
}

function fishScript(commands: Commands): string {
  const values = (spec?: ValueSpec<unknown>) => {
    if (spec?.choices) return ` -a ${singleQuoted(spec.choices.join(" "))}`;
    if (spec?.completes === "interface") return ` -a ${singleQuoted(`(${INTERFACES})`)}`;
    return spec?.completes === "file" ? " -F" : "";
  };
  const lines = commands.flatMap(([name, command]) => [
    `complete -c ebpfmon -n __fish_use_subcommand -a ${name} -d ${singleQuoted(command.summary)}`,
    ...flagWords(command).map(([flag, help]) => {
      const spec = valueOf(command, flag);
      const value = spec === null ? "" : ` ${spec.completes === "file" ? "-r" : "-x"}${values(spec)}`;
      const described = `-l ${flag.slice(2)} -d ${singleQuoted(help)}${value}`;
      return `complete -c ebpfmon -n '__fish_seen_subcommand_from ${name}' ${described}`;
    }),
    ...positionalSpec(command)
      ? [`complete -c ebpfmon -n '__fish_seen_subcommand_from ${name}'${values(positionalSpec(command))}`]
      : [],
  ]);
  return `# fish completion for ebpfmon
complete -c ebpfmon -f
complete -c ebpfmon -n __fish_use_subcommand -l help -s h -d 'this help'
complete -c ebpfmon -n __fish_use_subcommand -l version -s V -d 'the version'
${lines.join("\n")}
`;
}

/** Quotes a text for a shell: between single quotes only the quote itself is special. */
function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
