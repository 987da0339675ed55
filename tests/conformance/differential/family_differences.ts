import { at, ends, type Meant, only } from "./differences.ts";

/** Differences with several addresses, with IPv6 addresses, and without addresses. */
export const FAMILY_DIFFERENCES: readonly Meant[] = [
  at(
    "B2",
    "IPv6 forwarding is not enabled either: it removes the default route that the host learnt from a router",
    /^kernel\.forwarding6$/,
    (it) => it.ours === undefined && it.theirs === true,
  ),
  at(
    "B3",
    "The IPv6 default route has metric 512, so an earlier router advertisement neither wins nor makes the ADD fail",
    /^kernel\.containers\.c\d\.routes\.\d$/,
    (it) =>
      /^6: default .* 512$/.test(String(it.ours)) &&
      it.theirs === String(it.ours).replace(/512$/, "1024"),
  ),
  at(
    "B3",
    "The default routes of isDefaultGateway are listed IPv4 first; the reference lists them in the order of the sets",
    /^document\.routes\.\d\.(dst|gw)$/,
    (it) => it.input === "sets: IPv6 before IPv4",
  ),
  at(
    "H12",
    "An IPv6 address has the same offset in its range as the IPv4 address, so a reused pair keeps its MAC",
    /^document\.ips\.1\.address$|^kernel\.leases\.fd00:88:|^kernel\.containers\.c\d\.links\.eth0\.addresses\.1$/,
    (it) =>
      /^requested: of IPv4 alone|IP=10\.86\.0\.77\/24$/
        .test(it.input),
  ),
  only(
    "1.1.1",
    at(
      "B15",
      "disableContainerInterface is supported; the packaged reference is older than that key",
      /^kernel\.containers\.c\d\.links\.eth0\.up$/,
      (it) => it.input === "layer 2: disableContainerInterface" && it.ours === false,
    ),
  ),
  ends(
    "D4",
    "A DEL does not depend on ranges, requests or versions that an ADD refuses; the reference keeps the lease",
    "works",
    "code 999",
    /^sets: |^requested: (no address|a number)|^two sets of IPv4 in 0\.|in 0\.2\.0$|without prefix length$|ipRanges that overlap$/,
    "DEL",
  ),
  ends(
    "C4",
    "A requested address is refused if the network has no addresses; the reference ignores it",
    "code 102",
    "works",
    /^layer 2: a requested address/,
  ),
  ends(
    "B17",
    'A network without addresses needs "ipam": {}; any other configuration without ipam.type needs a subnet',
    "code 7",
    "works",
    /^layer 2: (routes in ipam|ipam left out|ipam null|an empty type)/,
  ),
  ends(
    "B3",
    "With isDefaultGateway, a default route without gw is the family's only default route; the reference adds it twice and fails",
    "works",
    "code 999",
    /^dual: a default route of IPv6 without gw, isDefaultGateway/,
  ),
  ends(
    "B14",
    "enabledad: true is refused by name: addresses are usable at once; the packaged reference is older than that key",
    "code 2",
    "works",
    /^dual: enabledad/,
  ),
  ends(
    "H5",
    "A gateway on the bridge must be inside its subnet and not an anycast address, or no container reaches it",
    "code 7",
    "works",
    /^an IPv6 range with (a gateway outside, isGateway|the anycast address as gateway)/,
  ),
  ends(
    "H6",
    "A route is refused if the network has no addresses of its family; the reference adds it without a gateway",
    "code 7",
    "works",
    /^dual: a route of a family without addresses/,
  ),
  ends(
    "H6",
    "A destination with host bits is refused, and the message shows the right one; the reference drops the bits silently",
    "code 7",
    "works",
    /^dual: an IPv6 route with host bits/,
  ),
  ends(
    "K2",
    "CHECK finds both next hops of an IPv6 destination; the reference's CHECK finds neither",
    "works",
    "code 999",
    /^dual: two next hops of IPv6/,
    "CHECK",
  ),
  ends(
    "K3",
    "The IPv6 gateway's address on the bridge is compared",
    "code 106",
    "works",
    /^dual: CHECK: the IPv6 gateway off the bridge/,
    "CHECK",
  ),
];
