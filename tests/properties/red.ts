/** Complaints that the program still deserves, by the number of the promise in issue 27: to be empty. */
const RED: readonly { readonly promises: string; readonly kind: RegExp }[] = [
  { promises: "1, 6, 7", kind: /^an address is allocated twice/ },
  { promises: "2", kind: /^next to ADDs, STATUS or doctor is not well/ },
  { promises: "3", kind: /^import succeeds, and does not name a live container/ },
  { promises: "4", kind: /^import says that no container has an address/ },
  { promises: "5, 6", kind: /^a DEL succeeds and leaves the veth|^one DEL each leaves a veth/ },
  { promises: "8", kind: /that fails again leaves another backup/ },
  { promises: "10", kind: /^STATUS says 1: .* but the ADD works/ },
  { promises: "11", kind: /^repair succeeds, and/ },
  { promises: "12", kind: /^one DEL each leaves a lease/ },
  { promises: "13", kind: /^a DEL fails, after a repair too: .* schema/ },
  { promises: "16", kind: /^nothing was done by hand, and the ADD ends with 104/ },
  { promises: "18", kind: /^an ADD works, and a container of its network stays out/ },
  { promises: "21", kind: /^(STATUS|doctor) says [01]\b.* but the ADD ends with 5: / },
];

export function promisesOf(kind: string): string | undefined {
  return RED.find((it) => it.kind.test(kind))?.promises;
}
