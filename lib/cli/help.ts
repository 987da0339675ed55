import { CONFIGURATION, withoutBackquotes } from "./codes.ts";
import { PROGRAM_VERSION, STATE_FOLDER } from "../base/scope.ts";
import { type Command, COMMON_OPTIONS, type Option, type Report } from "./command.ts";
import { type Line, strong } from "./screen.ts";

export function overview(commands: readonly Command[]): Report {
  return {
    lines: [
      [
        strong(`atomicni ${PROGRAM_VERSION}`),
        ": a CNI plugin. A container runtime runs it with CNI_COMMAND set; a person runs",
      ],
      "",
      ...commands.flatMap(({ name, takes, about }): Line[] => [
        ["  atomicni ", strong(`${name} ${takes}`.trim())],
        `      ${about}`,
      ]),
      "",
      "Every command accepts --json (-o json), --wide (lines of any length) and --help, which has an example (atomicni help COMMAND prints the same). Exit status: 0 all is well, 1 something needs a look, 2 the command failed.",
      `The program reads only ${STATE_FOLDER} and runs only ip, so a configuration comes on stdin.`,
      ...CONFIGURATION.map(withoutBackquotes),
    ],
    json: commands.map(jsonOf),
    exit: 0,
  };
}

export function helpOf(command: Command): Report {
  const { name, takes, about, example } = command;
  // A redirection comes last.
  const [args = "", input] = takes.split("< ");
  const words = ["atomicni", name, args.trim(), "[OPTIONS]", input && `< ${input}`];
  return {
    lines: [
      [strong(words.filter((it) => it).join(" "))],
      about,
      "",
      ...optionsOf(command).map(([option, { type, about, short }]) => {
        const value = type === "string" ? " VALUE" : "";
        const letter = short === undefined ? "    " : `-${short}, `;
        return `  ${letter}--${`${option}${value}`.padEnd(17)}${about}`;
      }),
      "",
      ...(takes.includes("CONFIGURATION") ? CONFIGURATION.map(withoutBackquotes) : []),
      `Example: ${example}`,
    ],
    json: jsonOf(command),
    exit: 0,
  };
}

function optionsOf({ options }: Command): [string, Option][] {
  return Object.entries({ ...options, ...COMMON_OPTIONS });
}

function jsonOf(command: Command) {
  const { name, takes, about, example } = command;
  const options = optionsOf(command).map(([name, it]) => ({ name, ...it }));
  return { name, takes, about, example, options };
}
