import {
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  LEAST_MTU_IPV6,
} from "../../base/address.ts";
import { subnetsOf } from "../../base/range.ts";
import { MOST_PORTS } from "../../netops.ts";
import { hasIpv6Gateway, outages } from "../../plugin.ts";
import { type Finding, finding, type Scene, warning } from "./finding.ts";

/** The current state of the bridge. If an ADD can't use it, the checks of ADD report that instead. */
export function examineBridge(scene: Scene): Finding[] {
  const { config, links, overview } = scene;
  const { bridge: name, mtu, sets, gatewayOnBridge } = config;
  const bridge = links.find(({ ifname }) => ifname === name);
  if (links.some(({ altnames }) => altnames.includes(name))) return [];
  if (bridge === undefined) {
    const shown = `"${name}" does not exist yet: the first ADD makes it`;
    return [finding("ok", "bridge", shown), ...examineNewBridge(scene)];
  }
  if (bridge.kind !== "bridge") return [];
  const ports = links.filter(({ master }) => master === name).length;
  const addresses = bridge.addresses.map(formatInterfaceAddress).join(", ") || "no address yet";
  const state = bridge.up ? "up" : "down (an ADD sets it up)";
  const shown =
    `"${name}": ${addresses}, ${state}, MTU ${bridge.mtu}, ports: ${ports} of ${MOST_PORTS}`;
  const found = [finding("ok", "bridge", shown)];
  const rows = overview.networks.find(({ network }) => network === config.name)?.rows ?? [];
  const placed = rows.filter(({ link }) => link?.master === name);
  if (placed.length > 0) {
    const all = outages(config, bridge, placed.flatMap(({ ips }) => ips));
    found.push(...all.map((it) => warning("bridge", it.found, it.remedy)));
  }
  if (mtu !== undefined && ports > 0 && bridge.mtu !== mtu) {
    found.push(warning(
      "bridge",
      `"${name}" has MTU ${bridge.mtu}, the configuration ${mtu}: larger packets are lost between ports`,
      `${
        bridge.mtu < LEAST_MTU_IPV6 && hasIpv6Gateway(config) ? "" : `set "mtu": ${bridge.mtu}, or `
      }start each container again whose port has another MTU (ip link show master ${name}); if the bridge does ` +
        `not follow its ports, set its MTU too (ip link set dev ${name} mtu ${mtu})`,
    ));
  }
  if (bridge.bridge.stp) {
    found.push(warning(
      "bridge",
      `"${name}" has the spanning tree protocol on: a new container has no traffic for about 30 s`,
      `ip link set dev ${name} type bridge stp_state 0`,
    ));
  }
  if (!gatewayOnBridge && sets.length > 0) {
    found.push(finding(
      "note",
      "bridge",
      `"${name}" carries no gateway ("isGateway" is false): containers reach only each other and other devices on the bridge`,
      'set "isGateway": true if the host is their gateway',
    ));
  }
  return found;
}

/**
 * A new bridge takes the sysctl `default.disable_ipv6`, which `ip` does not show. If `lo` is up without an IPv6 address,
 * IPv6 is switched off for all interfaces.
 */
function examineNewBridge({ config, links }: Scene): Finding[] {
  const { bridge, gatewayOnBridge } = config;
  if (!gatewayOnBridge || !hasIpv6Gateway(config)) return [];
  const lo = links.find(({ ifname }) => ifname === "lo");
  if (lo?.up === true && !lo.addresses.some(({ ip }) => familyOf(ip) === 6)) {
    return [warning(
      "bridge",
      `"lo" has no IPv6 address: if IPv6 is switched off for a new "${bridge}" too, an ADD fails with code 100`,
      "sysctl net.ipv6.conf.default.disable_ipv6 shows it; sysctl -w net.ipv6.conf.default.disable_ipv6=0 switches it on",
    )];
  }
  const found =
    `a new "${bridge}" gets IPv6 if net.ipv6.conf.default.disable_ipv6 is 0, which ip does not show`;
  return [finding("note", "bridge", found)];
}

/** Signs of a router advertisement that a container sent to the host (CVE-2020-10749). */
export function examineAdvertisements(
  { config: { bridge }, links, routes }: Pick<Scene, "config" | "links" | "routes">,
): Finding[] {
  const found = [
    ...routes.filter(({ dev, isDynamic }) => dev === bridge && isDynamic)
      .map(({ dst }) => `a route to ${dst}`),
    ...links.filter(({ ifname }) => ifname === bridge)
      .flatMap(({ addresses }) => addresses.filter(({ isDynamic }) => isDynamic))
      .map(formatInterfaceAddress),
  ];
  return found.length === 0 ? [] : [warning(
    "router",
    `the host took ${found.join(", ")} from "${bridge}": a container sends router advertisements`,
    `sysctl -w net/ipv6/conf/${bridge}/accept_ra=0; ip -6 route flush dev ${bridge} proto ra; ` +
      `ip -6 addr flush dev ${bridge} dynamic; ip -6 route show dev ${bridge} | ` +
      `sed -n '/ expires /s/ .*//p' | xargs -rn1 ip -6 route del dev ${bridge}; ` +
      "then load the rules of: atomicni host-rules < CONFIGURATION",
  )];
}

/** Forwarding as `ip netconf` shows it. `ip` can't show the packet filter. */
export async function examineForwarding({ config, kernel, links }: Scene): Promise<Finding[]> {
  const { bridge, sets, gatewayOnBridge } = config;
  if (sets.length === 0) return [];
  const { ipv4, ipv6 } = await kernel.forwarding(bridge);
  const subnets = subnetsOf(sets);
  // Forwarding may be off for one interface alone; a new bridge takes the setting of `default`.
  const one = links.some(({ ifname }) => ifname === bridge) ? bridge : "default";
  const reached = gatewayOnBridge ? "each other and the gateway" : "each other";
  const seen = [...new Set(subnets.map(({ base }) => familyOf(base)))].map((family) => {
    const what = `IPv${family}`;
    const [isOn, sysctl, more] = family === 4
      ? [
        ipv4,
        "net.ipv4.ip_forward",
        ` net/ipv4/conf/${one}/forwarding=1`,
      ]
      : [
        ipv6,
        "net.ipv6.conf.all.forwarding",
        ", with accept_ra = 2 on the uplink first, or the host loses its own default route",
      ];
    if (isOn === undefined) {
      return finding("note", "forwarding", `ip does not show it for ${what}`, `sysctl ${sysctl}`);
    }
    const between = "the kernel forwards between the bridge and other interfaces";
    if (isOn) return finding("ok", "forwarding", `${what}: ${between}`);
    const off = `${what}: off for "${bridge}": containers reach only ${reached}`;
    return warning("forwarding", off, `sysctl -w ${sysctl}=1${more}`);
  });
  return [
    ...seen,
    finding(
      "note",
      "masquerade",
      `packets that leave the host with an address of ${
        subnets.map(formatCidr).join(", ")
      } need masquerading, or routes back, and a FORWARD policy that accepts them (Docker and firewalld set DROP); ` +
        "ip can't show packet filters",
      "nft list ruleset | grep -E 'masquerade|hook forward'; rules for it: atomicni host-rules < CONFIGURATION",
    ),
  ];
}
