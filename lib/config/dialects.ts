import { familyOf, LEAST_MTU_IPV6, parseIp } from "../base/address.ts";
import { CniError, Malformed, quote } from "../base/errors.ts";
import { type Fields, parseInteger, parseList, parseString } from "../base/fields.ts";
import { type InterfaceName, parseInterfaceName } from "../base/names.ts";
import { type AddressRange, parseSubnet, type RangeSet, usable } from "../base/range.ts";
import {
  checkGateway,
  checkOverlaps,
  narrowed,
  readHostLocalRange,
  readRange,
  readSets,
} from "./ranges.ts";
import { defaultRoute, gatewayOf, readRoutes, type Route } from "./routes.ts";

/** The container's bridge and the network's addresses, in both dialects. */
interface Addressing {
  readonly bridge: InterfaceName;
  /** The sets of this run: an attachment gets one address of each. Empty for a layer-2 attachment. */
  readonly sets: readonly RangeSet[];
  /** The network's sets, without the runtime's `ipRanges` for one attachment: what the state records. */
  readonly configuredSets: readonly RangeSet[];
  /** The bridge carries the gateway of each range. */
  readonly gatewayOnBridge: boolean;
  /** Another address on the bridge is replaced instead of refused. */
  readonly forceAddress: boolean;
  /** In bytes; `undefined` means the kernel's default. */
  readonly mtu: number | undefined;
  readonly routes: readonly Route[];
}

const parseMtu = parseInteger(68, 65535);

/** Reads the dialect that `ipam.type` names: absent is this plugin's own, `host-local` is that of bridge + host-local. */
export function readAddressing(root: Fields): Addressing {
  const ipam = root.object("ipam");
  const type = ipam.optional("type", parseString) ?? "";
  refuseUnsupported(root, ipam, type);
  const addressing = type === "host-local"
    ? hostLocalDialect(root, ipam)
    : isLayer2Network(root, ipam)
    ? referenceBridge(root, ipam, [])
    : ownDialect(root, ipam);
  const { mtu, sets } = addressing;
  const hasIpv6 = sets.flat().some(({ start }) => familyOf(start) === 6);
  if (mtu !== undefined && mtu < LEAST_MTU_IPV6 && hasIpv6) {
    const remedy = `set it to ${LEAST_MTU_IPV6} or more`;
    root.reject("mtu", "an MTU of a network with IPv6", `IPv6 needs ${LEAST_MTU_IPV6}`, remedy);
  }
  return addressing;
}

/** A layer-2 network has an explicit `"ipam": {}` and no subnet. A configuration that lacks both has forgotten its subnet. */
function isLayer2Network(root: Fields, ipam: Fields): boolean {
  return root.has("ipam") && Object.keys(ipam.raw).length === 0 &&
    !["subnet", "gateway", "subnet6", "gateway6"].some((key) => root.isFilled(key));
}

/** The own dialect (README.md, "Configuration"): bridge, subnets and gateways at the top level. */
function ownDialect(root: Fields, ipam: Fields): Addressing {
  const bridge = root.required("bridge", parseBridge, 'for example "bridge": "atomic0"');
  const has6 = root.isFilled("subnet6") || root.isFilled("gateway6");
  const has4 = root.isFilled("subnet") || root.isFilled("gateway") || !has6;
  const configured: readonly RangeSet[] = [
    ...(has4 ? [[ownRange(root, ipam, 4)]] : []),
    ...(has6 ? [[ownRange(root, ipam, 6)]] : []),
  ];
  const sets = narrowed(configured, root);
  return {
    bridge,
    sets,
    configuredSets: configured,
    gatewayOnBridge: true,
    forceAddress: false,
    mtu: root.optional("mtu", parseMtu) ?? 1500,
    routes: readRoutes(ipam, sets) ??
      sets.flatMap(([range]) => range?.gateway ?? []).map(defaultRoute),
  };
}

function ownRange(root: Fields, ipam: Fields, family: 4 | 6): AddressRange {
  const more = family === 4 ? "" : "6";
  const [subnetKey, gatewayKey] = [`subnet${more}`, `gateway${more}`];
  const [startKey, endKey] = [`rangeStart${more}`, `rangeEnd${more}`];
  const example = family === 4 ? "10.86.0.0/16" : "fd00:88::/64";
  const parse = (value: unknown) => parseIp(value, family);
  const subnet = root.required(
    subnetKey,
    (value) => parseSubnet(value, family),
    `for example "${subnetKey}": "${example}"`,
  );
  const { start, end } = usable(subnet);
  const gateway = root.required(gatewayKey, parse, `for example "${gatewayKey}": "${start}"`);
  checkGateway(root, { subnet, gateway }, gatewayKey);
  if (ipam.isFilled(startKey) !== ipam.isFilled(endKey)) {
    const missing = ipam.isFilled(startKey) ? endKey : startKey;
    ipam.required(missing, parse, `set both ipam.${startKey} and ipam.${endKey}, or neither`);
  }
  return readRange(ipam, { subnet, gateway, start, end }, startKey, endKey);
}

/** A configuration of bridge + host-local with that pair's defaults. */
function hostLocalDialect(root: Fields, ipam: Fields): Addressing {
  const hasGateway = root.boolean("isGateway") || root.boolean("isDefaultGateway");
  const read = (range: Fields) => readHostLocalRange(range, hasGateway);
  const configured = [
    ...(ipam.has("subnet") ? [[read(ipam)]] : []),
    ...readSets(ipam, "ranges", read),
  ];
  const sets = [...readSets(root.object("runtimeConfig"), "ipRanges", read), ...configured];
  if (sets.length === 0) {
    ipam.required("subnet", parseSubnet, 'give "ipam": {"subnet": "10.86.0.0/16"} or "ranges"');
  }
  checkOverlaps(sets);
  return { ...referenceBridge(root, ipam, sets), configuredSets: configured };
}

/** The keys of the reference bridge with its defaults: `cni0`, no gateway, no default route unless configured. */
function referenceBridge(root: Fields, ipam: Fields, sets: readonly RangeSet[]): Addressing {
  const isDefaultGateway = root.boolean("isDefaultGateway");
  const routes = readRoutes(ipam, sets) ?? [];
  const added = ([4, 6] as const).flatMap((family) => {
    const gateway = gatewayOf(sets, family);
    const hasDefault = routes.some(({ dst }) => dst.prefix === 0 && familyOf(dst.base) === family);
    if (!isDefaultGateway || gateway === undefined || hasDefault) return [];
    return [{ ...defaultRoute(gateway), byLease: true }];
  });
  return {
    bridge: root.optional("bridge", parseBridge) ?? parseInterfaceName("cni0"),
    sets,
    configuredSets: sets,
    gatewayOnBridge: (root.boolean("isGateway") || isDefaultGateway) && sets.length > 0,
    forceAddress: root.boolean("forceAddress"),
    mtu: root.get("mtu") === 0 ? undefined : root.optional("mtu", parseMtu),
    routes: [...routes, ...added],
  };
}

/** `ip` reads the name `if2` of a missing bridge as interface index 2. Throws `Malformed`. */
function parseBridge(value: unknown): InterfaceName {
  const name = parseInterfaceName(value);
  if (!/^if\d+$/.test(name)) return name;
  throw new Malformed("the name of a bridge", "ip would read it as the index of an interface");
}

/** Flags of the container's port and interface, in both dialects. */
export function readPortFlags(root: Fields, sets: readonly RangeSet[]) {
  const flags = {
    hairpin: root.boolean("hairpinMode"),
    isolated: root.boolean("portIsolation"),
    /** Of the bridge. */
    promiscuous: root.boolean("promiscMode"),
    /** The guard (SECURITY.md, "The guard"). */
    guarded: root.boolean("macspoofchk"),
    /** The container's interface is set up. */
    containerUp: !root.boolean("disableContainerInterface"),
  };
  if (flags.hairpin && flags.promiscuous) {
    const found = "a bridge port can't have both";
    root.reject("hairpinMode", "a setting next to promiscMode", found, "set one of them to false");
  }
  if (!flags.containerUp && sets.length > 0) {
    const wanted = "a setting of a network with addresses";
    const remedy = 'leave it out, or give no addresses ("ipam": {})';
    const found = "an interface that is down can have none";
    root.reject("disableContainerInterface", wanted, found, remedy);
  }
  return flags;
}

/** Keys of the reference bridge that `ip` inside the scope can't implement, each with its alternative. Throws UnsupportedField. */
function refuseUnsupported(root: Fields, ipam: Fields, type: string): void {
  const isSet: Readonly<Record<string, boolean>> = {
    ipMasq: root.boolean("ipMasq"),
    vlan: (root.optional("vlan", parseInteger(-4096, 65535)) ?? 0) !== 0,
    vlanTrunk: (root.optional("vlanTrunk", parseList) ?? []).length > 0,
    enabledad: root.boolean("enabledad"),
  };
  for (const [key, remedy] of Object.entries(INSTEAD)) {
    if (isSet[key]) refuse(root, key, remedy);
  }
  if (type !== "" && type !== "host-local") {
    refuse(
      ipam,
      "type",
      'leave it out, or use "host-local": addresses are given by this plugin itself',
    );
  }
}

const INSTEAD: Readonly<Record<string, string>> = {
  ipMasq:
    "set it to false and masquerade by subnet: atomicni host-rules < CONFIGURATION prints the nftables file",
  vlan: "leave it out and give each VLAN a bridge of its own, with the VLAN device as a port",
  vlanTrunk: "leave it out; for trunks use the reference bridge plugin",
  enabledad: "leave it out: an address has one lease, so nothing has to be asked on the link",
};

function refuse(fields: Fields, key: string, remedy: string): never {
  throw new CniError(
    "UnsupportedField",
    `Cannot do "${fields.at}${key}": ${quote(fields.get(key))}: not supported by this plugin`,
    remedy,
  );
}
