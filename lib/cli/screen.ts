import { printable } from "../base/errors.ts";

export type Tone = "good" | "warning" | "bad" | "strong" | "faint";
export type Segment = string | { readonly text: string; readonly tone: Tone };
/** One line of output. Only `render` makes bytes of it, so that nothing reaches a terminal unchecked. */
export type Line = string | readonly Segment[];

const COLOURS: Readonly<Record<Tone, string>> = {
  good: "32",
  warning: "33",
  bad: "31",
  strong: "1",
  faint: "2",
};

/** A line without its tones. */
export function textOf(line: Line): string {
  return typeof line === "string"
    ? line
    : line.map((it) => typeof it === "string" ? it : it.text).join("");
}

/** The lines as text: control characters made visible, tones as colours where `colour` says so. */
export function render(lines: readonly Line[], colour: boolean): string {
  return lines.map((line) =>
    `${(typeof line === "string" ? [line] : line).map((it) => paint(it, colour)).join("")}\n`
  ).join("");
}

function paint(segment: Segment, colour: boolean): string {
  const [text, tone] = typeof segment === "string" ? [segment] : [segment.text, segment.tone];
  // A line is one line: a newline inside could pass for another.
  const safe = printable(text).replaceAll("\n", "\\n");
  return colour && tone !== undefined ? `\x1b[${COLOURS[tone]}m${safe}\x1b[0m` : safe;
}

/** Columns as wide as their widest cell, two blanks apart, under a heading. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly Segment[])[],
): Line[] {
  const all: (readonly Segment[])[] = [
    heading.map((text) => ({ text, tone: "strong" as const })),
    ...rows,
  ];
  const widths = heading.map((_, column) =>
    all.reduce((widest, row) => Math.max(widest, widthOf(row[column] ?? "")), 0)
  );
  return all.map((row) =>
    row.flatMap((cell, column) => {
      const space = (widths[column] ?? 0) - widthOf(cell) + 2;
      return column === row.length - 1 ? [cell] : [cell, " ".repeat(space)];
    })
  );
}

function widthOf(cell: Segment): number {
  return [...printable(typeof cell === "string" ? cell : cell.text)].length;
}
