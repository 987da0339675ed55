import type { Tone } from "./screen.ts";

/** The meaning. If an operator has to look: the subject of doctor's finding, and the remedy. */
type StateRow = readonly [about: string, subject?: string, remedy?: string];

const WORDS = {
  live: ["the lease's host veth is a port of the network's bridge"],
  "layer 2": ["a host veth of a network without addresses is a port of its bridge"],
  starting: ["its ADD is in progress"],
  "cut off": [
    "the host veth is in no bridge or in another one, or it or the bridge is down",
    "ports",
    "atomicni repair < CONFIGURATION puts it back; if the bridge is gone or down, start any container of the network first; if the host veth is in another bridge: ip link set dev VETH nomaster",
  ],
  unguarded: [
    "the lease is guarded (`macspoofchk`), and the port is not locked",
    "guard",
    "atomicni repair < CONFIGURATION guards it again",
  ],
  superseded: [
    "the lease is of an earlier ADD: another ADD created the attachment's host veth",
    "leases",
    "its DEL, or a GC, removes lease and host veth; if the container lives: atomicni repair < CONFIGURATION",
  ],
  undecided: [
    "the lease may belong to any of several host veths, or to one that can't be inspected",
    "leases",
    "atomicni repair --dry-run < CONFIGURATION shows the reason",
  ],
  stale: [
    "no host veth is left that could have the address",
    "leases",
    "an ADD that finds no free address reclaims it; atomicni repair < CONFIGURATION does so now",
  ],
  "no lease": [
    "a host veth of the network has no lease: the state file is lost or an older one",
    "veths",
    "if its container is gone, its DEL, or a GC, removes it; if it lives: atomicni repair < CONFIGURATION",
  ],
  unknown: [
    "`ip` failed, so nothing is known about the host veth",
    "veths",
    "the error of ip has its own remedy",
  ],
} satisfies Readonly<Record<string, StateRow>>;

/** The state of an attachment in the output of `list`. */
export type StateWord = keyof typeof WORDS;

/** The table of state words; docs/monitoring.md shows it, doctor and explain print it. */
export const STATE_WORDS: Readonly<Record<StateWord, StateRow>> = WORDS;

/** The number of each state word in `words`, in the order of the table. */
export function countWords(words: readonly StateWord[]): Record<StateWord, number> {
  const count = (word: string) => [word, words.filter((it) => it === word).length];
  return Object.fromEntries(Object.keys(STATE_WORDS).map(count));
}

export function needsLook(word: StateWord): boolean {
  const [, subject] = STATE_WORDS[word];
  return subject !== undefined;
}

export function toneOf(word: StateWord): Tone {
  if (word === "unknown") return "faint";
  return needsLook(word) ? "warning" : "good";
}
