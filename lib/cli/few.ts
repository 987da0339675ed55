/** The first three of a list, as a sentence has them. */
export function few(all: readonly string[]): string {
  return all.slice(0, 3).join(", ") + (all.length > 3 ? ", …" : "");
}
