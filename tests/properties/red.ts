/** Complaints that the program still deserves, by the number of the promise in issue 27: to be empty. */
const RED: readonly { readonly promises: string; readonly kind: RegExp }[] = [
  { promises: "18", kind: /^an ADD works, and a container of its network stays out/ },
];

export function promisesOf(kind: string): string | undefined {
  return RED.find((it) => it.kind.test(kind))?.promises;
}
