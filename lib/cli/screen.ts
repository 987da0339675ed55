import { printable } from "../base/errors.ts";

/** The number of each tone in an escape sequence of a terminal. */
const COLOURS = { good: "32", warning: "33", bad: "31", strong: "1", faint: "2" };

export type Tone = keyof typeof COLOURS;

interface Styled {
  readonly text: string;
  readonly tone?: Tone;
}

/** A piece of text, with a tone or without. */
type Segment = string | Styled;
/** One line of output, with or without tones. */
export type Sentence = string | readonly Segment[];
/** A line of output, or a table. Only `render` turns it into text, so every control character is escaped. */
export type Line = Sentence | Table;

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

export function strong(text: string): Segment {
  return { text, tone: "strong" };
}

function styled(segment: Segment): Styled {
  return typeof segment === "string" ? { text: segment } : segment;
}

export function textOf(line: Sentence): string {
  return typeof line === "string" ? line : line.map((it) => styled(it).text).join("");
}

/** The lines as text: control characters escaped, tones as colours, wrapped to the width of the screen. */
export function render(lines: readonly Line[], { colour, width }: Screen): string {
  const all = lines.flatMap((line) => {
    if (typeof line === "object" && "heading" in line) return tableLines(line, width);
    return wrapped(typeof line === "string" ? [line] : line, width);
  });
  return all.map((line) => `${line.map((it) => paint(styled(it), colour)).join("")}\n`).join("");
}

function paint({ text, tone }: Styled, colour: boolean): string {
  // A newline inside a value could forge a line of output.
  const safe = printable(text).replaceAll("\n", "\\n");
  return colour && tone !== undefined ? `\x1b[${COLOURS[tone]}m${safe}\x1b[0m` : safe;
}

/** Wraps a line at `width` columns. Continuation lines are indented as far as the first word. */
function wrapped(line: readonly Segment[], width: number = Infinity): Segment[][] {
  const whole = textOf(line);
  if (widthOf(whole) <= width) return [[...line]];
  const indent = /^ *(?:-> |- )?/.exec(whole)?.[0].length ?? 0;
  const lines: Segment[][] = [[]];
  let column = 0;
  let blank = "";
  for (const { text, ...tone } of line.map(styled)) {
    for (const word of text.split(/(?<= )(?=[^ ])/)) {
      // The blank after a word is printed before the next word, so no line ends with a blank.
      const next = blank + word.trimEnd();
      blank = word.slice(word.trimEnd().length);
      const isFull = column > indent && column + widthOf(next) > width;
      if (isFull) {
        lines.push([" ".repeat(indent)]);
        column = indent;
      }
      const shown = isFull ? next.trimStart() : next;
      lines.at(-1)?.push({ text: shown, ...tone });
      column += widthOf(shown);
    }
  }
  return lines;
}

const GAP = 2;
/** A cell is never cut to fewer columns. */
const LEAST = 8;

/** The table with columns as wide as their widest cell. A cell has one line or several. */
function tableLines(table: Table, width: number = Infinity): Segment[][] {
  const { heading, rows, spare, cut, broken } = table;
  let columns = heading.map((name, at) => ({
    name,
    cells: rows.map((row) => [styled(row[at] ?? "")]),
  }));
  const widthIn = ({ name, cells }: typeof columns[number]) =>
    Math.max(widthOf(name), ...cells.flat().map(({ text }) => widthOf(text)));
  const excess = () => columns.reduce((sum, it) => sum + widthIn(it) + GAP, -GAP) - width;
  for (const name of spare) {
    if (excess() > 0) columns = columns.filter((it) => it.name !== name);
  }
  const shorten = (wanted = "", linesOf: (cell: Styled, most: number) => Styled[]) => {
    const column = columns.find(({ name }) => name === wanted);
    if (column === undefined || excess() <= 0) return;
    const most = Math.max(LEAST, widthIn(column) - excess());
    column.cells = column.cells.map((lines) => lines.flatMap((it) => linesOf(it, most)));
  };
  shorten(cut, (cell, most) => [{ ...cell, text: ending(cell.text, most) }]);
  shorten(
    broken,
    (cell, most) =>
      widthOf(cell.text) <= most ? [cell] : cell.text.split(/(?<=,) /).map((text) => ({ text })),
  );
  const widths = columns.map(widthIn);
  const drawn = (line: readonly Segment[]) =>
    line.flatMap((cell, at) => {
      const gap = (widths[at] ?? 0) - widthOf(styled(cell).text) + GAP;
      return at === columns.length - 1 ? [cell] : [cell, " ".repeat(gap)];
    });
  const lines = rows.flatMap((_, row) => {
    const length = Math.max(...columns.map(({ cells }) => cells[row]?.length ?? 0));
    return Array.from({ length }, (_, at) => columns.map(({ cells }) => cells[row]?.[at] ?? ""));
  });
  const missing = heading.filter((name) => !columns.some((it) => it.name === name));
  const text = `without ${missing.join(", ")}: --wide has all`;
  return [
    drawn(columns.map(({ name }) => strong(name))),
    ...lines.map(drawn),
    ...(missing.length > 0 ? wrapped([{ text, tone: "faint" }], width) : []),
  ];
}

function ending(text: string, most: number): string {
  const letters = [...printable(text)];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

function widthOf(text: string): number {
  return [...printable(text)].length;
}
