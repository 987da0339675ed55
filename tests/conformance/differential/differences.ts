import type { Difference } from "./compare.ts";

export type Reference = "1.1.1" | "1.9.1";

/** An intended difference from the reference. */
export interface Meant {
  readonly rule: string;
  readonly why: string;
  readonly holds: (it: Difference) => boolean;
  /** Only this version of the reference shows it: Debian 13's 1.1.1, or 1.9.1 of the next release. */
  readonly of?: Reference;
  /** The reference shows it only in some runs. */
  readonly byChance?: boolean;
}

/** A difference in the outcome of a step, for inputs with these names. */
export function ends(
  rule: string,
  why: string,
  ours: string | RegExp,
  theirs: string,
  inputs: RegExp,
  command = "ADD",
): Meant {
  return {
    rule,
    why,
    holds: (it) =>
      it.path === "outcome" && it.step.command === command && inputs.test(it.input) &&
      (typeof ours === "string" ? it.ours === ours : ours.test(String(it.ours))) &&
      it.theirs === theirs,
  };
}

export function at(
  rule: string,
  why: string,
  path: RegExp,
  holds: (it: Difference) => boolean,
): Meant {
  return { rule, why, holds: (it) => path.test(it.path) && holds(it) };
}

/** A difference from that version of the reference only. */
export function only(of: Reference, meant: Meant): Meant {
  return { ...meant, of };
}

export const DIFFERENCES: readonly Meant[] = [
  at(
    "X4",
    "An error document has cniVersion; the reference's has none",
    /^document\.cniVersion$/,
    (it) => it.theirs === undefined && typeof it.ours === "string",
  ),
  at(
    "Q5",
    "Each kind of error has its own code; the reference uses 999 for nearly all",
    /^document\.code$/,
    (it) =>
      it.theirs === 999 && [2, 3, 4, 7, 8, 100, 101, 102, 103, 105, 106].includes(Number(it.ours)),
  ),
  at(
    "A3",
    "A failed ADD leaves nothing; the reference leaves the veth, often the bridge, sometimes the lease",
    /^left behind$/,
    (it) => it.ours === "" && it.theirs !== "" && it.step.command === "ADD",
  ),
  at(
    "B2",
    "Forwarding is not enabled: /proc/sys is outside the permission scope; a sysctl file does it once per host",
    /^kernel\.forwarding$/,
    (it) => it.ours === undefined && it.theirs === true,
  ),
  only(
    "1.1.1",
    at(
      "B16",
      "portIsolation is supported; the packaged reference is older than that key",
      /^kernel\.ports\.\d\.isolated$/,
      (it) => it.input.includes("portIsolation") && it.ours === true,
    ),
  ),
  only(
    "1.1.1",
    at(
      "V2",
      "1.1.0 is supported too; VERSION repeats the request's version",
      /^document\.(supportedVersions\.6|cniVersion)$/,
      (it) => it.step.command === "VERSION" && it.ours === "1.1.0",
    ),
  ),
  at(
    "R12",
    "prevResult is passed on before this plugin's own result; the reference drops it",
    /^document\.(interfaces|ips)\./,
    (it) => it.input.endsWith("prevResult on ADD"),
  ),
  at(
    "D2",
    "DEL without a namespace removes the host veth too; the reference leaves both ends and frees the address",
    /^kernel\.(ports|containers)\./,
    (it) => it.input.endsWith("DEL with an empty namespace"),
  ),
  {
    ...at(
      "D2",
      "After the namespace is gone, DEL removes the host veth unless the kernel has done so; the reference leaves it to the kernel",
      /^kernel\.ports\./,
      (it) => it.input === "DEL with the namespace gone" && it.ours === undefined,
    ),
    byChance: true,
  },
  at(
    "B2",
    "isGateway: the bridge carries the gateway of every range of a set; in the reference it carries only the gateway of the allocated address",
    /^kernel\.host\.cni0\.addresses\.1$/,
    (it) => /ranges of two ranges/.test(it.input) && it.theirs === undefined,
  ),
  ends(
    "D4",
    "A DEL does not depend on the configuration; the reference refuses the same configurations as ADD and keeps the lease",
    "works",
    "code 999",
    /ipam|subnet|range|invalid address|stdin: a/,
    "DEL",
  ),
  ends(
    "E12",
    "A DEL does not depend on the namespace: a path that is not a namespace counts as deleted",
    "works",
    "code 999",
    /^DEL with a file as namespace/,
    "DEL",
  ),
  ends(
    "E19",
    "A DEL does not depend on CNI_ARGS",
    "works",
    "code 999",
    /^DEL with bad arguments/,
    "DEL",
  ),
  ends(
    "D3",
    "DEL removes only its own link; the reference tries to remove the container's lo",
    "works",
    "code 999",
    /^interface "lo"/,
    "DEL",
  ),
  ends(
    "E18",
    "This plugin knows the arguments IP and MAC; each of the reference's two programs knows one",
    "works",
    "code 999",
    /^CNI_ARGS (IP|MAC)=/,
  ),
  ends(
    "E18",
    "Two addresses for IP are refused; the reference uses the second",
    "code 4",
    "works",
    /^CNI_ARGS IgnoreUnknown=1;IP=10\.86\.0\.77;IP=10\.86\.0\.78/,
  ),
  ends("E17", "The K8S arguments need no IgnoreUnknown", "works", "code 999", /^CNI_ARGS K8S_/),
  ends(
    "C3",
    "args.cni.ips takes precedence over IP of CNI_ARGS, as the conventions say; the reference wants both addresses",
    "works",
    "code 999",
    /^IP and args/,
  ),
  ends(
    "B3",
    "With isDefaultGateway, a default route without gw is the only default route; the reference adds it twice and fails",
    "works",
    "code 999",
    /^a default route without gw, isDefaultGateway/,
  ),
  ends(
    "B4",
    "isGateway with two IPv4 subnets: the bridge carries both gateways; the reference reports a conflict with the first",
    "works",
    "code 999",
    /^two range sets|^sets: two sets of IPv4, isGateway/,
  ),
  ends(
    "C2",
    "A MAC that another container has is refused",
    "code 102",
    "works",
    /^a MAC by/,
  ),
  ends(
    "B5",
    "ipMasq: true is refused by name: masquerading is one nftables rule per subnet, outside the scope",
    "code 2",
    "works",
    /^ipMasq/,
  ),
  ends(
    "E7",
    "An interface name with a quote, # or backslash is refused: ip reads such names from a batch, which can't express them",
    "code 4",
    "works",
    /^interface "a(\\"|')b"/,
  ),
  ends("B7", "A negative mtu is refused instead of being read as 0", "code 7", "works", /^mtu -5/),
  ends(
    "H5",
    "A gateway on the bridge must be inside the subnet, or no container reaches it",
    "code 7",
    "works",
    /^gateway outside, isGateway/,
  ),
  only(
    "1.1.1",
    ends(
      "E11",
      "The plugin's own namespace is refused before anything is created; the reference prints two documents",
      "code 8",
      "works",
      /^the own namespace, ADD/,
    ),
  ),
  ends(
    "K4",
    "CHECK of a network without addresses passes; CHECK of the reference requires an IPAM plugin",
    "works",
    "code 999",
    /^no ipam|^layer 2/,
    "CHECK",
  ),
  {
    rule: "I4",
    why:
      "The bridge keeps its MAC; in the reference without isGateway it takes the MAC of its lowest port, and CHECK of an earlier container fails",
    holds: ({ path, step, ours, theirs }) =>
      path === "outcome" && step.command === "CHECK" && ours === "works" &&
      theirs === "code 999" && step.config.isGateway !== true &&
      step.config.isDefaultGateway !== true,
    byChance: true,
  },
  only(
    "1.9.1",
    at(
      "V2",
      "VERSION repeats the request's version; the reference answers in its newest",
      /^document\.cniVersion$/,
      (it) => it.step.command === "VERSION" && it.ours === "1.0.0" && it.theirs === "1.1.0",
    ),
  ),
  only(
    "1.9.1",
    at(
      "E11",
      "The plugin's own namespace is refused with code 8; the reference prints a document without a code",
      /^document\.code$/,
      (it) => it.input === "the own namespace, ADD" && it.ours === 8 && it.theirs === 0,
    ),
  ),
  only(
    "1.9.1",
    ends(
      "D2",
      "A DEL with the plugin's own namespace has nothing to remove; the reference refuses it",
      "works",
      "code 8",
      /^the own namespace, DEL/,
      "DEL",
    ),
  ),
  only(
    "1.1.1",
    ends(
      "K2",
      "CHECK of a route without gw expects it via the range's gateway; the reference expects it on the link",
      "works",
      "code 999",
      /^an empty gw|^a route to the own subnet$/,
      "CHECK",
    ),
  ),
  ends(
    "K3",
    "The gateway's address on the bridge is compared",
    "code 106",
    "works",
    /^CHECK: the gateway off the bridge/,
    "CHECK",
  ),
];
