import { printable } from "../base/errors.ts";

export type Tone = "good" | "warning" | "bad" | "strong" | "faint";
export type Segment = string | { readonly text: string; readonly tone: Tone };
/** One line of output, or a table. Only `render` turns it into text, so every control character is escaped. */
export type Line = string | readonly Segment[] | Table;

/**
 * Rows under a heading. If they are wider than the screen, columns of `spare` are left out in that order. Then the cells of
 * `cut` are shortened. Then the cells of `broken` start a new line after each comma.
 */
export interface Table {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly Segment[])[];
  readonly spare: readonly string[];
  readonly cut?: string;
  readonly broken?: string;
}

/** The colours and the width of the output. */
export interface Screen {
  readonly colour: boolean;
  /** In columns; `undefined` if lines may have any length. */
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

/** The lines as text: control characters escaped, tones as colours, wrapped to the width of the screen. */
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
  // A newline inside a value could forge a line of output.
  const safe = printable(text).replaceAll("\n", "\\n");
  return colour && tone !== undefined ? `\x1b[${COLOURS[tone]}m${safe}\x1b[0m` : safe;
}

/** Wraps a line at `width` columns. Continuation lines are indented as far as the first word. */
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
      // The blank after a word is printed before the next word, so no line ends with a blank.
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
/** A cell is never cut to fewer columns. */
const LEAST = 8;

/** The table with columns as wide as their widest cell. */
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

/** The row, and one more row for each further line of the cell. */
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
