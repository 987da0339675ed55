import { assertEquals } from "@std/assert";
import { choose, type Pool, vethOf } from "../lib/ipam.ts";
import { formatIpv4, parseCidr, parseIpv4, usable } from "../lib/ipv4.ts";
import { parseContainerId, parseInterfaceName, parseNetworkName } from "../lib/names.ts";
import { hostVethName, legacyVethName } from "../lib/names.ts";
import { emptyState, type State } from "../lib/statefile.ts";

function pool(subnet: string, gateway: string, start?: string, end?: string): Pool {
  const cidr = parseCidr(subnet);
  const all = usable(cidr);
  return {
    subnet: cidr,
    gateway: parseIpv4(gateway),
    range: {
      start: start === undefined ? all.start : parseIpv4(start),
      end: end === undefined ? all.end : parseIpv4(end),
    },
  };
}

function state(lastReserved: string, ...held: string[]): State {
  return {
    ...emptyState(),
    lastReserved,
    containerToIP: Object.fromEntries(held.map((ip) => [`c${ip}/eth0`, ip])),
    ipToContainer: Object.fromEntries(held.map((ip) => [ip, `c${ip}/eth0`])),
  };
}

Deno.test("choose() is next-fit behind the address given last, inside the range", () => {
  const plain = pool("10.0.0.0/29", "10.0.0.1");
  const middle = pool("10.0.0.0/29", "10.0.0.3");
  const ranged = pool("10.0.0.0/24", "10.0.0.1", "10.0.0.10", "10.0.0.12");
  const top = pool("255.255.255.248/29", "255.255.255.249");
  const whole = pool("10.0.0.0/29", "10.0.0.1", "10.0.0.0", "10.0.0.7");
  const all = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
  const rows: [string, Pool, State, string | undefined][] = [
    ["the first is behind the gateway", plain, state(""), "10.0.0.2"],
    ["the next", plain, state("10.0.0.4"), "10.0.0.5"],
    ["one given back is not given again at once", plain, state("10.0.0.4", "10.0.0.3"), "10.0.0.5"],
    ["wrap at the end", plain, state("10.0.0.6"), "10.0.0.2"],
    ["held ones are skipped", plain, state("10.0.0.2", "10.0.0.3", "10.0.0.4"), "10.0.0.5"],
    ["the gateway is skipped", middle, state("10.0.0.2"), "10.0.0.4"],
    ["full", plain, state("10.0.0.4", ...all), undefined],
    ["one left", plain, state("10.0.0.4", ...all.slice(1)), "10.0.0.2"],
    ["the range's first", ranged, state(""), "10.0.0.10"],
    ["last given is outside", ranged, state("10.0.0.200"), "10.0.0.10"],
    ["the range wraps", ranged, state("10.0.0.12"), "10.0.0.10"],
    ["the range is full", ranged, state("", "10.0.0.10", "10.0.0.11", "10.0.0.12"), undefined],
    ["no overflow", top, state("255.255.255.254"), "255.255.255.250"],
    ["no overflow from the broadcast address", top, state("255.255.255.255"), "255.255.255.250"],
    ["never the network address", whole, state("10.0.0.7"), "10.0.0.2"],
    ["never the broadcast address", whole, state("10.0.0.6"), "10.0.0.2"],
  ];
  for (const [name, from, before, expected] of rows) {
    const ip = choose(before, from);
    assertEquals(ip === undefined ? undefined : formatIpv4(ip), expected, name);
  }
});

Deno.test("choose() gives each address once before any twice", () => {
  const from = pool("10.0.0.0/28", "10.0.0.5");
  const given = new Set<string>();
  const current = state("10.0.0.9");
  for (let ip = choose(current, from); ip !== undefined; ip = choose(current, from)) {
    const address = formatIpv4(ip);
    given.add(address);
    current.lastReserved = address;
    current.ipToContainer[address] = "c/eth0";
  }
  assertEquals(given.size, 13);
  assertEquals(given.has("10.0.0.5"), false);
});

Deno.test("vethOf() is the host veth of either kind of lease", async () => {
  const network = parseNetworkName("podnet");
  const attachment = {
    network,
    containerId: parseContainerId("c1"),
    ifname: parseInterfaceName("eth0"),
  };
  assertEquals(await vethOf("c1/eth0", network), await hostVethName(attachment));
  assertEquals(await vethOf("c1", network), await legacyVethName("c1"));
});
