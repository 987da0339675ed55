import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { REFERENCE } from "./reference_config.ts";

const DUAL = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const LAYER2 = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  ipam: {},
};
const FORCED = { ...REFERENCE, forceAddress: true };
const PROMISCUOUS = { ...CONFIG, promiscMode: true };

const OURS = "10.86.0.1/24";
const BOTH = [OURS, "fd00:88::1/64"];
/** A bridge that is up, with these addresses. */
const made = (...addresses: string[]) =>
  ["ip link add atomic0 address 02:00:00:00:00:99 up type bridge mcast_snooping 1"].concat(
    addresses.map((it) => `ip addr add ${it} dev atomic0${it.includes(":") ? " nodad" : ""}`),
  ).join("\n");

interface Row {
  readonly name: string;
  /** Shell before the ADD; without it the bridge is missing. */
  readonly before?: string;
  readonly config?: Json;
  /** The addresses of the bridge after the ADD, without link-local ones. */
  readonly addresses?: readonly string[];
  readonly isPromiscuous?: boolean;
}

const ROWS: readonly Row[] = [
  { name: "it is missing" },
  { name: "it is missing, and the network has no gateway", config: LAYER2, addresses: [] },
  { name: "it is missing, and the network has both families", config: DUAL, addresses: BOTH },
  { name: "it is missing, and must be promiscuous", config: PROMISCUOUS, isPromiscuous: true },
  { name: "it matches", before: made(OURS) },
  { name: "it matches in both families", before: made(...BOTH), config: DUAL, addresses: BOTH },
  {
    name: "it lacks the address of one family",
    before: made(OURS),
    config: DUAL,
    addresses: BOTH,
  },
  { name: "it has no address", before: made() },
  { name: "it is down", before: `${made(OURS)}\nip link set atomic0 down` },
  {
    name: "it is down and has no address",
    before: `${made()}\nip link set atomic0 down`,
    config: DUAL,
    addresses: BOTH,
  },
  {
    name: "it has another address, and the network has no gateway",
    before: made("10.1.0.1/8"),
    config: LAYER2,
    addresses: ["10.1.0.1/8"],
  },
  {
    name: "it also has an address of the other family",
    before: made(OURS, "fd00::9/64"),
    addresses: [OURS, "fd00::9/64"],
  },
  {
    name: "it also has an address of another network",
    before: made("192.0.2.1/24", OURS),
    addresses: ["192.0.2.1/24", OURS],
  },
  {
    name: "it also has an address of another IPv6 network",
    before: made(...BOTH, "fd00:99::1/64"),
    config: DUAL,
    addresses: [...BOTH, "fd00:99::1/64"],
  },
  {
    name: "it also has an address with a lifetime, as from a router advertisement",
    before: made(...BOTH, "fd00:88::9/64 valid_lft 900 preferred_lft 900"),
    config: DUAL,
    addresses: [...BOTH, "fd00:88::9/64"],
  },
  { name: "it has another address, forced", before: made("10.1.0.1/8"), config: FORCED },
  {
    name: "it also has another address, forced",
    before: made("10.1.0.1/8", OURS),
    config: FORCED,
    addresses: ["10.1.0.1/8", OURS],
  },
  {
    name: "it must be promiscuous",
    before: made(OURS),
    config: PROMISCUOUS,
    isPromiscuous: true,
  },
  {
    name: "it is promiscuous without a request",
    before: `${made(OURS)}\nip link set atomic0 promisc on`,
    isPromiscuous: true,
  },
];

async function bridgeOf(host: Host): Promise<Json> {
  return (await host.ip("", "addr", "show", "dev", "atomic0"))[0];
}

for (const row of ROWS) {
  const { name, before, config = CONFIG, addresses = [OURS], isPromiscuous = false } = row;
  hostTest(`ADD leaves the bridge as the network needs it: ${name}`, async (host) => {
    await host.containers("c1");
    if (before !== undefined) await host.sh(before);
    const { ips = [] } = await host.add({ config });
    const { flags, addr_info, linkinfo } = await bridgeOf(host);
    const own = addr_info.filter((it: Json) => it.scope !== "link");
    assertEquals(
      own.map((it: Json) => `${it.local}/${it.prefixlen}`).sort(),
      [...addresses].sort(),
    );
    assert(!own.some((it: Json) => it.tentative), "an address does not answer yet");
    assert(flags.includes("UP"), flags.join());
    assertEquals(flags.includes("PROMISC"), isPromiscuous);
    // Root's choice stays; with snooping, one query of a container stops IPv6 for all others.
    assertEquals(linkinfo.info_data.mcast_snooping, before === undefined ? 0 : 1);
    const added = own.find(({ local }: Json) => local === CONFIG.gateway);
    if (added !== undefined && !before?.includes(OURS)) {
      assertEquals(added.broadcast, "10.86.0.255");
    }
    for (const { gateway } of ips) assert(await host.pings("c1", gateway), gateway);
  });
}
