/** The state of an attachment in the output of `list`. */
export type StateWord =
  | "live"
  | "layer 2"
  | "starting"
  | "cut off"
  | "unguarded"
  | "superseded"
  | "undecided"
  | "stale"
  | "no lease"
  | "unknown";

/** The meaning of a state word, and whether an operator has to look at the attachment. */
export interface Meaning {
  readonly about: string;
  readonly needsLook: boolean;
}

/** The table of state words; docs/monitoring.md shows it. */
export const STATE_WORDS: Readonly<Record<StateWord, Meaning>> = {
  live: { about: "the lease's host veth is a port of the network's bridge", needsLook: false },
  "layer 2": {
    about: "a host veth of a network without addresses is a port of its bridge",
    needsLook: false,
  },
  starting: { about: "its ADD is in progress", needsLook: false },
  "cut off": {
    about: "the host veth is in no bridge or in another one, or it or the bridge is down",
    needsLook: true,
  },
  unguarded: {
    about: "the lease is guarded (`macspoofchk`), and the port is not locked",
    needsLook: true,
  },
  superseded: {
    about: "the lease is of an earlier ADD: another ADD created the attachment's host veth",
    needsLook: true,
  },
  undecided: {
    about: "the lease may belong to any of several host veths, or to one that can't be inspected",
    needsLook: true,
  },
  stale: { about: "no host veth is left that could have the address", needsLook: true },
  "no lease": {
    about: "a host veth of the network has no lease: the state file is lost or an older one",
    needsLook: true,
  },
  unknown: { about: "`ip` failed, so nothing is known about the host veth", needsLook: true },
};

/** The number of each state word in `words`, in the order of the table. */
export function countWords(words: Iterable<StateWord>): Record<StateWord, number> {
  const names = Object.keys(STATE_WORDS) as StateWord[];
  const counts = Object.fromEntries(names.map((it) => [it, 0])) as Record<StateWord, number>;
  for (const word of words) counts[word]++;
  return counts;
}

export function needsLook(word: StateWord): boolean {
  return STATE_WORDS[word].needsLook;
}
