/** Writes the table of SECURITY.md, "The guard", from the outcomes of a run: `security.ts <LOG`, the page on stdout. */
import { type Line, LINES } from "./lines.ts";
import { markdownTable } from "../markdown.ts";
import { printPage, readOutcomes } from "../outcomes.ts";
import type { Count, Finding, Outcome } from "./finding.ts";

/** The states that the table shows, by the names that a run records, and the columns' heads. */
export const STATES: Readonly<Record<string, string>> = {
  "guard off": "guard off",
  "guard on": "guard on",
  "guard on, host rules": "guard and `host-rules`",
};
const BEGIN = "<!-- Written by `make guard`; tests/guard/lines.ts has the words. -->";
const END = "<!-- The end of what `make guard` writes. -->";

interface Sum {
  readonly came: number;
  readonly of: number;
}

const sum = (all: readonly Sum[]): Sum => ({
  came: all.reduce((total, { came }) => total + came, 0),
  of: all.reduce((total, { of }) => total + of, 0),
});

const isOf = ({ attacks }: Line, { attack }: Outcome): boolean =>
  attacks?.test(attack.replace(/^IPv[46]: /, "")) ?? false;

/** The lines of the table as Markdown. Throws if a line or an attack has no counterpart in `seen`. */
export function securityTable(seen: readonly Finding[]): string[] {
  const outcomes = seen.filter((it) => "attack" in it);
  const counts = seen.filter((it) => "line" in it);
  for (const outcome of outcomes) {
    const found = LINES.filter((line) => isOf(line, outcome)).length;
    if (found !== 1) throw new Error(`"${outcome.attack}" belongs to ${found} lines, not to one`);
  }
  return markdownTable(
    ["what a container tries", ...Object.values(STATES), "why"],
    LINES.map((line) => [
      line.tries,
      ...Object.keys(STATES).map((state) => cell(line, state, outcomes, counts)),
      line.why,
    ]),
  );
}

function cell(
  line: Line,
  state: string,
  outcomes: readonly Outcome[],
  counts: readonly Count[],
): string {
  const where = `"${line.tries}" with ${state}`;
  const composed = outcomes.filter((it) => it.state === state && isOf(line, it));
  if (line.attacks !== undefined && composed.length === 0) {
    throw new Error(`Nothing was recorded for ${where}`);
  }
  const generated = (line.generated ?? []).map((name) => {
    const found = counts.find((it) => it.state === state && it.line === name);
    if (found === undefined) throw new Error(`No "${name}" was generated for ${where}`);
    return { came: found.came, of: found.sent };
  });
  if (generated.every(({ of }) => of === 0) && generated.length > 0) {
    throw new Error(`No frame was generated for ${where}`);
  }
  const [tried, made] = [sum(composed.map(({ got, of }) => ({ came: got, of }))), sum(generated)];
  return [
    verdict(tried, made, where),
    ...(composed.length > 0 ? [`${tried.came} of ${tried.of}`] : []),
    ...(generated.length > 0 ? [`generated ${made.came} of ${made.of}`] : []),
  ].join(", ");
}

/** The bound "at least half" applies only to composed frames, because generated frames have any shape. */
function verdict(tried: Sum, made: Sum, where: string): "works" | "stopped" {
  if (tried.came === 0 && made.came === 0) return "stopped";
  if (tried.of > 0 ? tried.came >= tried.of / 2 : made.came > 0) return "works";
  throw new Error(
    `Neither works nor stopped: ${tried.came} of ${tried.of}, generated ${made.came} of ${made.of}, for ${where}`,
  );
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
