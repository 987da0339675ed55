/** The word of `known` with the fewest typing errors to `typed`; `undefined` if every word has too many. */
export function nearest(typed: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  // One error in three letters, and at least one.
  let least = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const word of known) {
    const distance = editDistance(typed.toLowerCase(), word.toLowerCase());
    if (distance < least) [best, least] = [word, distance];
  }
  return best;
}

/** `Did you mean "x"?`, or nothing. */
export function didYouMean(typed: string, known: Iterable<string>): string {
  const word = nearest(typed, known);
  return word === undefined ? "" : `did you mean "${word}"?`;
}

/** The number of insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`. */
function editDistance(left: string, right: string): number {
  if (left.length > 64 || right.length > 64) return left === right ? 0 : 64;
  /** The distances of the beginnings of both words, by their lengths. */
  const table: number[][] = [];
  const at = (row: number, column: number) => table[row]?.[column] ?? Infinity;
  for (let row = 0; row <= left.length; row++) {
    table[row] = row === 0 ? [0] : [];
    for (let column = row === 0 ? 1 : 0; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1];
      const isSwap = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      table[row]?.push(Math.min(
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        at(row - 1, column - 1) + (isSame ? 0 : 1),
        at(row - 2, column - 2) + (isSwap ? 1 : Infinity),
      ));
    }
  }
  return at(left.length, right.length);
}

/** The first three items of a list, separated by commas. */
export function firstThree(all: readonly string[]): string {
  return all.slice(0, 3).join(", ") + (all.length > 3 ? ", …" : "");
}

/** `1 port` or `2 ports`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]] as const;

/** The time from `since` to `now` in its largest whole unit. `since` is in the future if the clock was set back. */
export function ago(since: string, now: number): string {
  const seconds = Math.round((now - Date.parse(since)) / 1000);
  if (Number.isNaN(seconds)) return "at a time that can't be read";
  if (seconds < -1) return "which lies ahead: the clock was set back since";
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
  return `${counted(Math.max(0, Math.floor(seconds / size)), unit)} ago`;
}
