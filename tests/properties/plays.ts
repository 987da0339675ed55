import { someTrick } from "./mallory.ts";
import type { Random } from "../random.ts";

export const VICTIMS = ["v0", "v1", "v2"] as const;
const DOES = [
  "add",
  "add",
  "add net1",
  "add net1",
  "check",
  "check",
  "del",
  "del m",
  "add m",
  "gc",
  "gc list",
  "repair",
  "repair",
  "repair --dry-run",
  "list",
] as const;

/** Either a trick of Mallory, or a command that runs on the host. */
export interface Step {
  readonly trick?: string;
  readonly does?: (typeof DOES)[number];
  /** The index of the neighbour. */
  readonly who: number;
}

export interface Play {
  /** The containers that are attached at first, in order; this determines their place in the kernel's dumps. */
  readonly order: readonly string[];
  /** The network has both families and the guard. */
  readonly guarded?: boolean;
  readonly steps: readonly Step[];
}

/** The order matters wherever a program reads all links. */
const ORDERS = [["v0", "m", "v1"], ["m", "v0", "v1"], ["v0", "v1", "m"]] as const;
const FIRST = ORDERS[1];

const trick = (what: string): Step => ({ trick: what, who: 0 });
const does = (what: Step["does"]): Step => ({ ...(what !== undefined && { does: what }), who: 0 });

/** Tricks that succeeded once, when tried by hand. */
export const KNOWN: readonly Play[] = [
  {
    order: FIRST,
    guarded: true,
    steps: [
      trick("takes the gateway's and every neighbour's IPv6 address"),
      does("list"),
      does("repair"),
      does("check"),
      does("del m"),
    ],
  },
  {
    order: FIRST,
    steps: [
      trick("takes its neighbour's address as well"),
      does("list"),
      does("repair"),
      does("check"),
    ],
  },
  {
    order: FIRST,
    steps: [trick("takes its neighbour's address instead"), does("repair"), does("del m")],
  },
  ...["if3", "if4", "if5"].map((name) => ({
    order: FIRST,
    steps: [
      trick("drops its addresses"),
      trick(`calls its interface ${name}`),
      does("add net1"),
      does("list"),
    ],
  })),
  {
    order: FIRST,
    steps: [trick("calls its interface as its neighbour's host veth"), does("gc"), does("gc list")],
  },
  {
    order: FIRST,
    steps: [trick("moves its interface into a namespace of its own"), does("repair"), does("gc")],
  },
];

/** Tricks, and runs of the program on the host between them. */
export function play(random: Random): Play {
  return {
    order: random.one(ORDERS),
    steps: Array.from({ length: random.between(4, 12) }, () => step(random)),
    guarded: random.chance(0.4),
  };
}

function step(random: Random): Step {
  const who = random.between(0, VICTIMS.length - 1);
  return random.chance(0.45) ? { trick: someTrick(random), who } : { does: random.one(DOES), who };
}
