import { printable } from "../base/errors.ts";

export type Tone = "good" | "warning" | "bad" | "strong" | "faint";
/** A piece of text, with a tone or without. */
export type Segment = string | Styled;
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

const COLOURS: Readonly<Record<Tone, string>> = {
  good: "32",
  warning: "33",
  bad: "31",
  strong: "1",
  faint: "2",
};

interface Styled {
  readonly text: string;
  readonly tone?: Tone;
}

export function strong(text: string): Segment {
  return { text, tone: "strong" };
}

function styled(segment: Segment): Styled {
  return typeof segment === "string" ? { text: segment } : segment;
}

/** A line without its tones. */
export function textOf(line: Sentence): string {
  return typeof line === "string" ? line : line.map((it) => styled(it).text).join("");
}

/** The lines as text: control characters escaped, tones as colours, wrapped to the width of the screen. */
export function render(lines: readonly Line[], { colour, width }: Screen): string {
  const all = lines.flatMap((line) => {
    if (typeof line === "object" && "heading" in line) return tableLines(line, width);
    const segments = typeof line === "string" ? [line] : line;
    return width === undefined ? [segments] : wrapped(segments, width);
  });
  return all.map((line) => `${line.map((it) => paint(styled(it), colour)).join("")}\n`).join("");
}

function paint({ text, tone }: Styled, colour: boolean): string {
  // A newline inside a value could forge a line of output.
  const safe = printable(text).replaceAll("\n", "\\n");
  return colour && tone !== undefined ? `\x1b[${COLOURS[tone]}m${safe}\x1b[0m` : safe;
}

/** Wraps a line at `width` columns. Continuation lines are indented as far as the first word. */
function wrapped(line: readonly Segment[], width: number): Segment[][] {
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

/** Blanks between two columns. */
const GAP = 2;
/** A cell is never cut to fewer columns. */
const LEAST = 8;

/** The table with columns as wide as their widest cell. */
function tableLines(table: Table, width: number | undefined): Segment[][] {
  const { heading, spare, cut, broken } = table;
  let rows = table.rows.map((row) => row.map(styled));
  if (width === undefined) return drawn(heading, rows);
  const left = new Set(heading);
  const widthIn = (name: string) => {
    const column = heading.indexOf(name);
    return Math.max(widthOf(name), ...rows.map((row) => widthOf(row[column]?.text ?? "")));
  };
  const excess = () => [...left].reduce((sum, name) => sum + widthIn(name) + GAP, -GAP) - width;
  for (const name of spare) {
    if (excess() > 0) left.delete(name);
  }
  const shorten = (name = "", linesOf: (cell: Styled, most: number) => Styled[]) => {
    const column = heading.indexOf(name);
    if (column < 0 || excess() <= 0) return;
    const most = Math.max(LEAST, widthIn(name) - excess());
    rows = rows.flatMap((row) => {
      const [first, ...more] = linesOf(row[column] ?? EMPTY, most);
      return [
        row.with(column, first ?? EMPTY),
        ...more.map((line) => row.map((_, at) => at === column ? line : EMPTY)),
      ];
    });
  };
  shorten(cut, (cell, most) => [{ ...cell, text: ending(cell.text, most) }]);
  shorten(
    broken,
    (cell, most) =>
      widthOf(cell.text) <= most ? [cell] : cell.text.split(/(?<=,) /).map((text) => ({ text })),
  );
  const missing = heading.filter((name) => !left.has(name));
  const shown = heading.flatMap((name, column) => left.has(name) ? [column] : []);
  const lines = drawn([...left], rows.map((row) => shown.map((column) => row[column] ?? EMPTY)));
  if (missing.length === 0) return lines;
  const text = `without ${missing.join(", ")}: --wide has all`;
  return [...lines, ...wrapped([{ text, tone: "faint" }], width)];
}

const EMPTY: Styled = { text: "" };

/** The heading and the rows with blanks between the columns. */
function drawn(heading: readonly string[], rows: readonly (readonly Styled[])[]): Segment[][] {
  const all = [heading.map((text) => styled(strong(text))), ...rows];
  const widths = heading.map((_, at) =>
    Math.max(...all.map((row) => widthOf(row[at]?.text ?? "")))
  );
  return all.map((row) =>
    row.flatMap((cell, at) => {
      if (at === heading.length - 1) return [cell];
      return [cell, " ".repeat((widths[at] ?? 0) - widthOf(cell.text) + GAP)];
    })
  );
}

function ending(text: string, most: number): string {
  const letters = [...printable(text)];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

/** The number of columns of a text. */
function widthOf(text: string): number {
  return [...printable(text)].length;
}
