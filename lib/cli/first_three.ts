/** The first three items of a list, separated by commas. */
export function firstThree(all: readonly string[]): string {
  return all.slice(0, 3).join(", ") + (all.length > 3 ? ", …" : "");
}
