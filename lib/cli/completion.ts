import { STATE_FOLDER } from "../base/scope.ts";
import { type Command, COMMON_OPTIONS, type Option, type Report, UsageError } from "./command.ts";
import { didYouMean } from "./wording.ts";

/** The script of each shell. `names` are the names of the commands, separated by blanks. */
const SHELLS: Readonly<Record<string, (commands: readonly Command[], names: string) => string[]>> =
  { bash, zsh, fish };

/** The command `completion`. `commands` returns every command, `completion` itself too, so it is called only in `run`. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: "completion",
    takes: "bash | zsh | fish",
    about: "a script that lets a shell complete commands, options and networks",
    example: "atomicni completion bash > /etc/bash_completion.d/atomicni",
    maxArguments: 1,
    run: ({ args: [shell = ""] }): Report => {
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (script === undefined) {
        const shells = Object.keys(SHELLS);
        throw new UsageError(
          `Cannot complete for "${shell}": it is not a supported shell`,
          didYouMean(shell, shells) || `one of ${shells.join(", ")}`,
        );
      }
      const all = commands();
      const lines = script(all, all.map(({ name }) => name).join(" "));
      return { lines, json: { shell, script: `${lines.join("\n")}\n` }, isFile: true, exit: 0 };
    },
  };
}

/** The pattern admits only network names, because `compgen -W` would expand shell code in another file name. */
const LIST_NETWORKS = [
  "_atomicni_networks() {",
  "  local file",
  `  for file in $(ls -1 ${STATE_FOLDER} 2>/dev/null | grep -E '^[A-Za-z0-9_.-]+\\.json$'); do`,
  "    echo ${file%.json}",
  "  done",
  "}",
];

/** The words that complete each command: options, fixed words, networks. */
function wordsOf(command: Command): string {
  const words = Object.keys({ ...command.options, ...COMMON_OPTIONS }).map((it) => `--${it}`);
  if (command.name === "completion") words.push(...Object.keys(SHELLS));
  if (command.takes.includes("NETWORK")) words.push("$(_atomicni_networks)");
  return words.join(" ");
}

function bash(commands: readonly Command[], names: string): string[] {
  return [
    ...LIST_NETWORKS,
    "_atomicni() {",
    '  local word=${COMP_WORDS[COMP_CWORD]} words=""',
    // After "<" the shell completes file names if the reply is empty.
    '  [ "${COMP_WORDS[COMP_CWORD-1]}" = "<" ] && COMPREPLY=() && return',
    "  if [ $COMP_CWORD -eq 1 ]; then",
    `    words="${names} help --help --version"`,
    "  else",
    "    case ${COMP_WORDS[1]} in",
    ...commands.map((it) => `      ${it.name}) words="${wordsOf(it)}" ;;`),
    `      help) words="${names} help" ;;`,
    "    esac",
    "  fi",
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    "}",
    "complete -o default -F _atomicni atomicni",
  ];
}

function zsh(commands: readonly Command[], names: string): string[] {
  return [
    "#compdef atomicni",
    ...LIST_NETWORKS,
    "_atomicni() {",
    "  if (( CURRENT == 2 )); then",
    "    local -a commands=(",
    ...commands.map(({ name, about }) => `      ${quoted(`${name}:${about}`)}`),
    "      'help:the list of commands'",
    "    )",
    "    _describe command commands",
    "  else",
    "    case $words[2] in",
    ...commands.map((it) => `      ${it.name}) compadd -- ${wordsOf(it)} ;;`),
    `      help) compadd -- ${names} ;;`,
    "    esac",
    "  fi",
    "}",
    "compdef _atomicni atomicni",
  ];
}

function fish(commands: readonly Command[], names: string): string[] {
  const networks =
    `(ls -1 ${STATE_FOLDER} 2>/dev/null | string match -r '^[A-Za-z0-9_.-]+(?=\\.json$)')`;
  const after = (name: string) => `-n '__fish_seen_subcommand_from ${name}'`;
  const option = ([name, { short, about }]: [string, Option]) =>
    `-l ${name}${short === undefined ? "" : ` -s ${short}`} -d ${quoted(about)}`;
  const rules = [
    "-f",
    "-n __fish_use_subcommand -a help -d 'the list of commands'",
    `${after("help")} -a '${names}'`,
    ...commands.flatMap(({ name, takes, about, options = {} }) => [
      `-n __fish_use_subcommand -a ${name} -d ${quoted(about)}`,
      ...Object.entries(options).map((it) => `${after(name)} ${option(it)}`),
      ...(takes.includes("NETWORK") ? [`${after(name)} -a ${quoted(networks)}`] : []),
    ]),
    `${after("completion")} -a 'bash zsh fish'`,
    ...Object.entries(COMMON_OPTIONS).map(option),
  ];
  return rules.map((rule) => `complete -c atomicni ${rule}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
