import { CniError, type ErrorCode, Malformed, quote } from "./errors.ts";
import { Fields, isObject, parseInteger, parseList, parseString } from "./fields.ts";
import {
  broadcastOf,
  type Cidr,
  contains,
  formatCidr,
  formatIpv4,
  inRange,
  type Ipv4,
  parseCidr,
  parseIpv4,
  type Range,
  usable,
} from "./ipv4.ts";
import { type InterfaceName, parseInterfaceName } from "./names.ts";

/** A route of the container; one without `via` is on the link. */
export interface Route {
  readonly dst: Cidr;
  readonly via?: Ipv4;
  /** As the configuration had it, for the result. */
  readonly gw?: Ipv4;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** Where the container is plugged in and what addresses there are: the same for both dialects. */
export interface Addressing {
  readonly bridge: InterfaceName;
  readonly subnet: Cidr;
  readonly gateway: Ipv4;
  /** The bridge carries the gateway's address. */
  readonly gatewayOnBridge: boolean;
  /** Another address on the bridge is replaced instead of refused. */
  readonly forceAddress: boolean;
  /** In bytes; absent means the kernel's default. */
  readonly mtu?: number;
  readonly range: Range;
  readonly routes: readonly Route[];
}

const DEFAULT: Cidr = { base: 0 as Ipv4, prefix: 0 };
const parseMtu = parseInteger(68, 65535);
const NO_SECOND_RANGE =
  "give one range set with one range; this plugin gives one IPv4 address per interface";

/** Reads the dialect that `ipam.type` names: none is this plugin's own, `host-local` that of bridge + host-local. */
export function readAddressing(root: Fields): Addressing {
  refuseUnsupported(root);
  const ipam = root.object("ipam");
  const type = ipam.optional("type", parseString) ?? "";
  const addressing = type === "" ? ownDialect(root, ipam) : hostLocalDialect(root, ipam);
  return withRuntimeRange(addressing, root);
}

/** Keys of the reference bridge that can't be done with `ip` inside the scope, and what does them. */
function refuseUnsupported(root: Fields): void {
  const refuse = (fields: Fields, key: string, remedy: string): never => {
    throw new CniError(
      2,
      `Cannot do "${fields.at}${key}": ${quote(fields.raw[key])}: not supported by this plugin`,
      {
        details: remedy,
      },
    );
  };
  if (root.boolean("ipMasq")) {
    refuse(
      root,
      "ipMasq",
      "set it to false and masquerade by subnet with one nftables rule (deploy/atomicni.nft)",
    );
  }
  if ((root.optional("vlan", parseInteger(-4096, 65535)) ?? 0) !== 0) {
    refuse(
      root,
      "vlan",
      "leave it out and give each VLAN a bridge of its own, with the VLAN device as a port",
    );
  }
  if ((root.optional("vlanTrunk", parseList) ?? []).length > 0) {
    refuse(root, "vlanTrunk", "leave it out; for trunks use the reference bridge plugin");
  }
  if (root.boolean("macspoofchk")) {
    refuse(root, "macspoofchk", "leave it out and filter in an nftables table of family bridge");
  }
  if (root.boolean("disableContainerInterface")) {
    refuse(root, "disableContainerInterface", "leave it out; an interface with an address is up");
  }
  const ipam = root.object("ipam");
  const type = ipam.optional("type", parseString) ?? "";
  if (type !== "" && type !== "host-local") {
    refuse(
      ipam,
      "type",
      'leave it out, or use "host-local": addresses are given by this plugin itself',
    );
  }
}

/** DESIGN's own table: bridge, subnet and gateway at the top level. */
function ownDialect(root: Fields, ipam: Fields): Addressing {
  const bridge = root.required("bridge", parseInterfaceName, 'for example "bridge": "atomic0"');
  const subnet = root.required("subnet", parseSubnet, 'for example "subnet": "10.88.0.0/16"');
  const example = formatIpv4(usable(subnet).start);
  const gateway = root.required("gateway", parseIpv4, `for example "gateway": "${example}"`);
  checkGateway(root, gateway, subnet);
  if (ipam.has("rangeStart") !== ipam.has("rangeEnd")) {
    const missing = ipam.has("rangeStart") ? "rangeEnd" : "rangeStart";
    ipam.required(missing, parseIpv4, "give both ipam.rangeStart and ipam.rangeEnd, or none");
  }
  return {
    bridge,
    subnet,
    gateway,
    gatewayOnBridge: true,
    forceAddress: false,
    mtu: root.optional("mtu", parseMtu) ?? 1500,
    range: readRange(ipam, subnet),
    routes: readRoutes(ipam, gateway) ?? [{ dst: DEFAULT, via: gateway, gw: gateway }],
  };
}

/** A configuration of bridge + host-local with that pair's defaults (checklist §7). */
function hostLocalDialect(root: Fields, ipam: Fields): Addressing {
  const pool = hostLocalPool(ipam) ?? runtimePool(root);
  if (pool === undefined) {
    ipam.required("subnet", parseSubnet, 'give "ipam": {"subnet": "10.88.0.0/16"} or "ranges"');
  }
  const { subnet, range, gateway } = readPool(pool ?? ipam);
  const isDefaultGateway = root.boolean("isDefaultGateway");
  const isGateway = root.boolean("isGateway") || isDefaultGateway;
  if (isGateway) checkGateway(pool ?? ipam, gateway, subnet);
  const routes = readRoutes(ipam, gateway) ?? [];
  const hasDefault = routes.some(({ dst }) => dst.prefix === 0);
  const mtu = root.optional("mtu", parseInteger(0, 65535)) ?? 0;
  if (mtu !== 0) root.optional("mtu", parseMtu);
  return {
    bridge: root.optional("bridge", parseInterfaceName) ?? parseInterfaceName("cni0"),
    subnet,
    gateway,
    gatewayOnBridge: isGateway,
    forceAddress: root.boolean("forceAddress"),
    ...(mtu !== 0 && { mtu }),
    range,
    routes: isDefaultGateway && !hasDefault
      ? [...routes, { dst: DEFAULT, via: gateway, gw: gateway }]
      : routes,
  };
}

/** The one pool that `ipam` names, as `subnet` (rule H2) or as `ranges` (rule H1). */
function hostLocalPool(ipam: Fields): Fields | undefined {
  const sets = rangeSets(ipam, "ranges", 2);
  if (ipam.has("subnet")) {
    if (sets.length > 0) throw secondRange(ipam, "ranges", 2);
    return ipam;
  }
  return sets[0];
}

/** The pool of `runtimeConfig.ipRanges`, of which there may be one like the configuration's (rule H9). */
function runtimePool(root: Fields): Fields | undefined {
  return rangeSets(root.object("runtimeConfig"), "ipRanges", 7)[0];
}

/** The range sets under `key`: at most one set of one range. */
function rangeSets(fields: Fields, key: string, code: ErrorCode): Fields[] {
  const sets = fields.list(key, parseList) ?? [];
  if (sets.length > 1 || sets.some((set) => set.length > 1)) throw secondRange(fields, key, code);
  return sets.flatMap((set) => set).map((range) => {
    if (!isObject(range)) return fields.reject(key, "range sets", "a range is no object");
    return new Fields(range, `${fields.at}${key}[0][0].`);
  });
}

function secondRange(fields: Fields, key: string, code: ErrorCode): CniError {
  return new CniError(
    code,
    `Cannot use ${fields.at}${key} ${
      quote(fields.raw[key])
    } as the pool: it is more than one range`,
    {
      details: NO_SECOND_RANGE,
    },
  );
}

function readPool(pool: Fields): { subnet: Cidr; range: Range; gateway: Ipv4 } {
  const subnet = pool.required("subnet", parseSubnet);
  const gateway = pool.optional("gateway", parseIpv4) ?? usable(subnet).start;
  return { subnet, range: readRange(pool, subnet), gateway };
}

/** A range the runtime asks for narrows the configured one; it can't be another subnet (rules H9, C4). */
function withRuntimeRange(addressing: Addressing, root: Fields): Addressing {
  const pool = runtimePool(root);
  if (pool === undefined) return addressing;
  const { subnet, range } = readPool(pool);
  if (subnet.base !== addressing.subnet.base || subnet.prefix !== addressing.subnet.prefix) {
    pool.reject(
      "subnet",
      "a part of the pool",
      `the network's subnet is ${formatCidr(addressing.subnet)}`,
    );
  }
  return { ...addressing, range };
}

function parseSubnet(value: unknown): Cidr {
  const subnet = parseCidr(value);
  if (subnet.prefix >= 8 && subnet.prefix <= 30) return subnet;
  throw new Malformed(
    "a subnet from /8 to /30",
    `/${subnet.prefix} is ${subnet.prefix < 8 ? "too large" : "too small"}`,
  );
}

function checkGateway(fields: Fields, gateway: Ipv4, subnet: Cidr): void {
  const wanted = `a gateway in ${formatCidr(subnet)}`;
  const { start, end } = usable(subnet);
  const remedy = `choose one from ${formatIpv4(start)} to ${formatIpv4(end)}`;
  if (!contains(subnet, gateway)) {
    fields.reject("gateway", wanted, "it is outside the subnet", remedy);
  }
  if (gateway === subnet.base) {
    fields.reject("gateway", wanted, "it is the network address", remedy);
  }
  if (gateway === broadcastOf(subnet)) {
    fields.reject("gateway", wanted, "it is the broadcast address", remedy);
  }
}

function readRange(fields: Fields, subnet: Cidr): Range {
  const all = usable(subnet);
  const start = fields.optional("rangeStart", parseIpv4) ?? all.start;
  const end = fields.optional("rangeEnd", parseIpv4) ?? all.end;
  const wanted = `an address in ${formatCidr(subnet)}`;
  if (!contains(subnet, start)) fields.reject("rangeStart", wanted, "it is outside the subnet");
  if (!contains(subnet, end)) fields.reject("rangeEnd", wanted, "it is outside the subnet");
  if (start > end) {
    fields.reject(
      "rangeEnd",
      "the end of the range",
      `it is before the start, ${formatIpv4(start)}`,
      "swap the two",
    );
  }
  return {
    start: inRange(all, start) ? start : all.start,
    end: inRange(all, end) ? end : all.end,
  };
}

/** `ipam.routes`; a route without `gw` goes through the gateway, unless its scope says that it is on the link. */
function readRoutes(ipam: Fields, gateway: Ipv4): Route[] | undefined {
  const whole = (least: number, most: number) => parseInteger(least, most);
  return ipam.list("routes", (value, at) => {
    if (!isObject(value)) throw new Malformed("a route", "it is no object");
    const fields = new Fields(value, `${at}.`);
    const gw = fields.optional("gw", parseIpv4);
    const scope = fields.optional("scope", whole(0, 255));
    const via = gw ?? (scope === undefined || scope < 253 ? gateway : undefined);
    const mtu = fields.optional("mtu", whole(0, 65535));
    const advmss = fields.optional("advmss", whole(0, 65535));
    const priority = fields.optional("priority", whole(0, 2 ** 32 - 1));
    const table = fields.optional("table", whole(0, 2 ** 32 - 1));
    return {
      dst: fields.required("dst", parseCidr),
      ...(via !== undefined && { via }),
      ...(gw !== undefined && { gw }),
      ...(mtu !== undefined && mtu !== 0 && { mtu }),
      ...(advmss !== undefined && advmss !== 0 && { advmss }),
      ...(priority !== undefined && priority !== 0 && { priority }),
      ...(table !== undefined && { table }),
      ...(scope !== undefined && { scope }),
    };
  });
}

/** Flags of the container's port, the same in both dialects. */
export interface PortFlags {
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** The bridge's promiscuous mode. */
  readonly promiscuous: boolean;
}

export function readPortFlags(root: Fields): PortFlags {
  const flags = {
    hairpin: root.boolean("hairpinMode"),
    isolated: root.boolean("portIsolation"),
    promiscuous: root.boolean("promiscMode"),
  };
  if (flags.hairpin && flags.promiscuous) {
    root.reject(
      "hairpinMode",
      "a setting beside promiscMode",
      "a bridge port can't have both",
      "set one of them to false",
    );
  }
  return flags;
}
