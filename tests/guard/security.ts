/** Writes the table of SECURITY.md, "The guard", from the outcomes of a run: `security.ts <LOG`, the page on stdout. */
import { type Line, LINES } from "./lines.ts";
import { markdownTable } from "../markdown.ts";
import { printPage, readOutcomes } from "../outcomes.ts";
import type { Finding, Outcome } from "./finding.ts";

/** The states that the table shows, by the names that a run records, and the columns' heads. */
export const STATES: Readonly<Record<string, string>> = {
  "guard off": "guard off",
  "guard on": "guard on",
  "guard on, host rules": "guard and `host-rules`",
};
const BEGIN = "<!-- Written by `make guard`; tests/guard/lines.ts has the words. -->";
const END = "<!-- The end of what `make guard` writes. -->";

const sum = (all: readonly number[]): number => all.reduce((total, it) => total + it, 0);

const isOf = ({ attacks }: Line, { attack }: Outcome): boolean =>
  attacks.test(attack.replace(/^IPv[46]: /, ""));

/** The lines of the table as Markdown. Throws if a line or an attack has no counterpart in `seen`. */
export function securityTable(seen: readonly Finding[]): string[] {
  const outcomes = seen.filter((it) => "attack" in it);
  for (const outcome of outcomes) {
    const found = LINES.filter((line) => isOf(line, outcome)).length;
    if (found !== 1) throw new Error(`"${outcome.attack}" belongs to ${found} lines, not to one`);
  }
  return markdownTable(
    ["what a container tries", ...Object.values(STATES), "why"],
    LINES.map((line) => [
      line.tries,
      ...Object.keys(STATES).map((state) => cell(line, state, outcomes)),
      line.why,
    ]),
  );
}

function cell(line: Line, state: string, outcomes: readonly Outcome[]): string {
  const where = `"${line.tries}" with ${state}`;
  const tried = outcomes.filter((it) => it.state === state && isOf(line, it));
  if (tried.length === 0) throw new Error(`Nothing was recorded for ${where}`);
  const [got, of] = [sum(tried.map(({ got }) => got)), sum(tried.map(({ of }) => of))];
  if (got > 0 && got < of / 2) {
    throw new Error(`Neither works nor stopped: ${got} of ${of}, for ${where}`);
  }
  return `${got > 0 ? "works" : "stopped"}, ${got} of ${of}`;
}

/** Returns the text between the marks in SECURITY.md. */
export function tableOf(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error("SECURITY.md lacks the marks of the table");
  return page.slice(begin + BEGIN.length, end);
}

if (import.meta.main) {
  const page = await Deno.readTextFile("SECURITY.md");
  const table = `\n\n${securityTable(await readOutcomes<Finding>()).join("\n")}\n\n`;
  const text = page.replace(tableOf(page), () => table);
  await printPage([text]);
}
