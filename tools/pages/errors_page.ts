/** Prints docs/errors.md from the table of codes in lib/cli/codes.ts. */
import { CODES, CONFIGURATION } from "../../lib/cli/codes.ts";

const NOTE =
  "<!-- tools/pages/docs makes this page from lib/cli/codes.ts; a test compares the two. -->";

/** The contents of docs/errors.md. */
export function errorsPage(): string {
  const sections = Object.entries(CODES).map(([code, [meaning, cause, ...cure]]) =>
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
    "The error document's `msg` has the wrong value, the wanted form and the reason; `details` has the remedy. This " +
    "page has the text that fits every error of a code, which `atomicni explain CODE` prints too. " +
    "The CNI specification defines the codes below 100.",
    CONFIGURATION.map((line) => `${line}.`).join(" "),
    ...sections,
    "",
  ].join("\n\n").trimEnd() + "\n";
}

if (import.meta.main) await Deno.stdout.write(new TextEncoder().encode(errorsPage()));
