import { printable } from "../base/errors.ts";

export type Tone = "good" | "warning" | "bad" | "strong" | "faint";
export type Segment = string | { readonly text: string; readonly tone: Tone };
/** One line of output, or a table. Only `render` makes bytes of it, so that nothing reaches a terminal unchecked. */
export type Line = string | readonly Segment[] | Table;

/**
 * Rows under a heading. If they are wider than the screen, the columns of `spare` are left out, the first one first; then the
 * cells of `cut` are shortened, and those of `broken` continue on lines of their own after each comma.
 */
export interface Table {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly Segment[])[];
  readonly spare: readonly string[];
  readonly cut?: string;
  readonly broken?: string;
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
function wrapped(line: string | readonly Segment[], width: number): Segment[][] {
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

/** Blanks between two columns. */
const GAP = 2;
/** The fewest columns that a cell is cut to. */
const LEAST = 8;

/** Columns as wide as their widest cell, two blanks apart. */
function tableLines(table: Table, width: number | undefined): Segment[][] {
  const { heading, spare, cut, broken } = table;
  let rows = table.rows;
  if (width === undefined) return drawn(heading, rows, new Set(heading));
  const left = new Set(heading);
  const widthIn = (name: string) => {
    const column = heading.indexOf(name);
    return rows.reduce((most, row) => Math.max(most, widthOf(row[column] ?? "")), widthOf(name));
  };
  const excess = () => [...left].reduce((sum, name) => sum + widthIn(name) + GAP, -GAP) - width;
  for (const name of spare) {
    if (excess() > 0) left.delete(name);
  }
  const shorten = (
    name: string | undefined,
    change: (cell: Segment, most: number) => Segment[],
  ) => {
    if (name === undefined || excess() <= 0) return;
    const most = Math.max(LEAST, widthIn(name) - excess());
    rows = rows.flatMap((row) => split(row, heading.indexOf(name), (cell) => change(cell, most)));
  };
  shorten(cut, (cell, most) => [ending(cell, most)]);
  shorten(broken, (cell, most) => widthOf(cell) <= most ? [cell] : atCommas(cell));
  const missing = heading.filter((name) => !left.has(name));
  const lines = drawn(heading, rows, left);
  if (missing.length === 0) return lines;
  const text = `without ${missing.join(", ")}: --wide has all`;
  return [...lines, ...wrapped([{ text, tone: "faint" }], width)];
}

function drawn(
  heading: readonly string[],
  rows: Table["rows"],
  left: ReadonlySet<string>,
): Segment[][] {
  const shown = heading.flatMap((name, column) => left.has(name) ? [column] : []);
  const bold = heading.map((text) => ({ text, tone: "strong" as const }));
  const all: readonly (readonly Segment[])[] = [bold, ...rows];
  const widths = heading.map((_, column) =>
    Math.max(...all.map((row) => widthOf(row[column] ?? "")))
  );
  return all.map((row) =>
    shown.flatMap((column) => {
      const cell = row[column] ?? "";
      const space = (widths[column] ?? 0) - widthOf(cell) + GAP;
      return column === shown.at(-1) ? [cell] : [cell, " ".repeat(space)];
    })
  );
}

/** The row, and a row for each further line of one cell. */
function split(
  row: readonly Segment[],
  column: number,
  linesOf: (cell: Segment) => Segment[],
): Segment[][] {
  const [first = "", ...more] = linesOf(row[column] ?? "");
  return [
    row.with(column, first),
    ...more.map((line) => row.map((_, at) => at === column ? line : "")),
  ];
}

function ending(cell: Segment, most: number): Segment {
  const [text, ...tone] = typeof cell === "string" ? [cell] : [cell.text, cell.tone];
  const letters = [...printable(text)];
  const short = letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
  return tone[0] === undefined ? short : { text: short, tone: tone[0] };
}

function atCommas(cell: Segment): Segment[] {
  return textOf([cell]).split(/(?<=,) /);
}

function widthOf(cell: Segment): number {
  return [...printable(typeof cell === "string" ? cell : cell.text)].length;
}
