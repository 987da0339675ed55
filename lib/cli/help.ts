import { CONFIGURATION, plain } from "./codes.ts";
import { PROGRAM_VERSION, STATE_FOLDER } from "../base/scope.ts";
import type { Command, Report } from "./command.ts";
import type { Line } from "./screen.ts";

/** What `atomicni help` shows. */
export function overview(commands: readonly Command[]): Report {
  return {
    lines: [
      [
        { text: `atomicni ${PROGRAM_VERSION}`, tone: "strong" },
        ": a CNI plugin. A container runtime runs it with CNI_COMMAND set; a person runs",
      ],
      "",
      ...commands.flatMap(({ name, takes, about }): Line[] => [
        ["  atomicni ", { text: `${name} ${takes}`.trim(), tone: "strong" }],
        `      ${about}`,
      ]),
      "",
      "Each takes --json, --wide (lines as long as they are) and --help, which has an example. Exit status: 0 all is well, " +
      "1 something needs a look, 2 it can't be done.",
      `Nothing but ${STATE_FOLDER} and ip is used: a configuration comes on stdin.`,
      ...CONFIGURATION.map(plain),
    ],
    json: commands.map(({ name, takes, about, example, options }) => ({
      name,
      takes,
      about,
      example,
      options: Object.entries(options).map(([option, { type, about }]) => ({
        name: option,
        type,
        about,
      })),
    })),
    exit: 0,
  };
}

/** What `atomicni COMMAND --help` shows. */
export function helpOf(command: Command): Report {
  const { name, takes, about, example, options } = command;
  const all: Record<string, { type: string; about: string }> = {
    ...options,
    json: { type: "boolean", about: "the same as one JSON value" },
    wide: { type: "boolean", about: "lines as long as they are, whatever the terminal's width" },
  };
  return {
    lines: [
      [{ text: `atomicni ${name}${takes === "" ? "" : ` ${takes}`} [OPTIONS]`, tone: "strong" }],
      about,
      "",
      ...Object.entries(all).map(([option, { type, about }]) =>
        `  --${`${option}${type === "string" ? " VALUE" : ""}`.padEnd(14)}${about}`
      ),
      "",
      ...(takes.includes("CONFIGURATION") ? CONFIGURATION.map(plain) : []),
      `Example: ${example}`,
    ],
    json: { name, takes, about, example, options: all },
    exit: 0,
  };
}
