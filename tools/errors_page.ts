/** Prints docs/errors.md, made of the one table of codes in lib/cli/codes.ts. */
import { CODES, CONFIGURATION } from "../lib/cli/codes.ts";

const NOTE = "<!-- Made of lib/cli/codes.ts by tools/docs; a test compares the two. -->";

/** The page as it has to stand in docs/errors.md. */
export function errorsPage(): string {
  const sections = Object.entries(CODES).map(([code, { meaning, cause, cure }]) =>
    [
      `## ${code}`,
      "",
      meaning,
      "",
      `**Why.** ${cause}`,
      "",
      "**What to do.**",
      "",
      ...cure.map((step) => `- ${step}`),
    ].join("\n")
  );
  return [
    "# Error codes",
    NOTE,
    "The error document's `msg` names the value that is wrong, what was wanted and what was found, and `details` " +
    "the remedy. Here is what all errors of a code have in common; `atomicni explain CODE` says the same. " +
    "Codes below 100 are those of the CNI specification.",
    CONFIGURATION.map((line) => `${line}.`).join(" "),
    ...sections,
    "",
  ].join("\n\n").trimEnd() + "\n";
}

if (import.meta.main) await Deno.stdout.write(new TextEncoder().encode(errorsPage()));
