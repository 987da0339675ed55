import { printable } from "../base/errors.ts";

export type Tone = "good" | "warning" | "bad" | "strong" | "faint";
export type Segment = string | { readonly text: string; readonly tone: Tone };
/** One line of output, or a table. Only `render` makes bytes of it, so that nothing reaches a terminal unchecked. */
export type Line = string | readonly Segment[] | Table;

/** Rows under a heading. Where they are wider than the screen, the columns of `spare` are left out, first one first. */
export interface Table {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly Segment[])[];
  readonly spare: readonly string[];
}

/** What the output goes to. */
export interface Screen {
  readonly colour: boolean;
  /** In columns; `undefined` where lines may have any length. */
  readonly width: number | undefined;
}

const COLOURS: Readonly<Record<Tone, string>> = {
  good: "32",
  warning: "33",
  bad: "31",
  strong: "1",
  faint: "2",
};

/** A line without its tones. */
export function textOf(line: string | readonly Segment[]): string {
  return typeof line === "string"
    ? line
    : line.map((it) => typeof it === "string" ? it : it.text).join("");
}

/** The lines as text: control characters made visible, tones as colours, as wide as the screen. */
export function render(lines: readonly Line[], { colour, width }: Screen): string {
  return lines.flatMap((line) => {
    if (isTable(line)) return tableLines(line, width);
    return width === undefined ? [line] : wrapped(line, width);
  }).map((line) =>
    `${(typeof line === "string" ? [line] : line).map((it) => paint(it, colour)).join("")}\n`
  ).join("");
}

function isTable(line: Line): line is Table {
  return typeof line === "object" && "heading" in line;
}

function paint(segment: Segment, colour: boolean): string {
  const [text, tone] = typeof segment === "string" ? [segment] : [segment.text, segment.tone];
  // A line is one line: a newline inside could pass for another.
  const safe = printable(text).replaceAll("\n", "\\n");
  return colour && tone !== undefined ? `\x1b[${COLOURS[tone]}m${safe}\x1b[0m` : safe;
}

/** The words of a line in lines of at most `width` columns; what follows the first is as far in as its words are. */
function wrapped(line: string | readonly Segment[], width: number): (string | Segment[])[] {
  const segments = typeof line === "string" ? [line] : line;
  if (widthOf(textOf(line)) <= width) return [[...segments]];
  const indent = /^ *(?:-> |- )?/.exec(textOf(line))?.[0].length ?? 0;
  const lines: Segment[][] = [[]];
  let column = 0;
  let blank = "";
  for (const segment of segments) {
    const [text, tone] = typeof segment === "string"
      ? [segment, undefined]
      : [segment.text, segment.tone];
    for (const word of text.split(/(?<= )(?=[^ ])/)) {
      // The blank behind a word stands in front of the next, and at the end of a line nowhere.
      const [, before = "", text = ""] = /^( *)(.*?)$/.exec(blank + word.trimEnd()) ?? [];
      blank = word.slice(word.trimEnd().length);
      const isFull = column > indent && column + before.length + widthOf(text) > width;
      if (isFull) {
        lines.push([" ".repeat(indent)]);
        column = indent;
      }
      const shown = isFull ? text : before + text;
      lines.at(-1)?.push(tone === undefined ? shown : { text: shown, tone });
      column += widthOf(shown);
    }
  }
  return lines;
}

/** Columns as wide as their widest cell, two blanks apart. */
function tableLines({ heading, rows, spare }: Table, width: number | undefined): Segment[][] {
  const widths = heading.map((name, column) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(row[column] ?? "")), widthOf(name))
  );
  const left = new Set(heading);
  const total = () =>
    heading.reduce(
      (sum, name, column) => left.has(name) ? sum + (widths[column] ?? 0) + 2 : sum,
      -2,
    );
  for (const name of spare) {
    if (width === undefined || total() <= width) break;
    left.delete(name);
  }
  const shown = heading.flatMap((name, column) => left.has(name) ? [column] : []);
  const bold = heading.map((text) => ({ text, tone: "strong" as const }));
  const lines = [bold, ...rows].map((row) =>
    shown.flatMap((column) => {
      const cell = row[column] ?? "";
      const space = (widths[column] ?? 0) - widthOf(cell) + 2;
      return column === shown.at(-1) ? [cell] : [cell, " ".repeat(space)];
    })
  );
  const missing = heading.filter((name) => !left.has(name));
  if (missing.length === 0) return lines;
  return [...lines, [{ text: `without ${missing.join(", ")}: --wide has all`, tone: "faint" }]];
}

function widthOf(cell: Segment): number {
  return [...printable(typeof cell === "string" ? cell : cell.text)].length;
}
