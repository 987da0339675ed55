import { assertEquals } from "@std/assert";
import { parseInterfaceAddress, parseIp } from "../../../lib/base/address.ts";
import { tryOwner } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseInterfaceName, parseNetworkName } from "../../../lib/base/names.ts";
import type { Lease, LeaseRecord } from "../../../lib/ipam.ts";
import type { NetnsPath } from "../../../lib/config.ts";
import type { Inside, Kernel, Link } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { findHost, findRenamed } from "../../../lib/plugin/find_host.ts";

const NET = parseNetworkName("podnet");
const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: "", hosts: "veth0 veth1" };
/** printf c1 | sha1sum */
const LEGACY = "av2f22765d04931";

function lease(key: string, record?: LeaseRecord): Lease {
  const owner = tryOwner(key);
  if (owner === undefined) throw new Error("no owner");
  return { owner, ips: [parseIp("10.0.0.2")], record };
}

function veth(ifname: string, ifindex: number, mac = "fe:00:00:00:00:01", alias = ""): Link {
  return { ...parseLink({ ifname, ifindex, address: mac }), alias };
}

interface World {
  readonly veths: readonly Link[];
  /** By host veth: name and addresses of what is behind it, as far as that can be seen. */
  readonly behind?: Readonly<Record<string, readonly [string, ...string[]]>>;
  /** Where the runtime says that the container is: its interface's peer, or why there is none. */
  readonly there?: number | "no interface" | "no namespace";
}

function kernel({ veths, behind = {}, there }: World): Kernel {
  return {
    veths: () => Promise.resolve(new Map(veths.map((it) => [it.ifname, it]))),
    lookInside: (hosts: readonly Link[]) =>
      Promise.resolve(
        new Map(hosts.flatMap(({ ifname }): [string, Inside][] => {
          const [name, ...ips] = behind[ifname] ?? [];
          if (name === undefined) return [];
          const addresses = ips.map((it) => ({ ...parseInterfaceAddress(it), isDynamic: false }));
          const peer = { ...parseLink({ ifname: name }), addresses };
          return [[ifname, { netns: "c1", links: [peer], peer }]];
        })),
      ),
    inspect: () => {
      if (there === "no namespace") return Promise.reject(new CniError("InvalidNetNS", "gone"));
      const inside = typeof there === "number"
        ? parseLink({ ifname: "eth0", link_index: there })
        : undefined;
      return Promise.resolve({ inside });
    },
  } as unknown as Kernel;
}

const [V0, V1] = [veth("veth0", 7), veth("veth1", 8)];
const OLD = veth(LEGACY, 9);

Deno.test("findHost() finds the one host veth of a lease that another program gave", async () => {
  const imported = lease("c1/eth0", RECORD);
  const single = lease("c1/eth0", { ...RECORD, hosts: "veth0", hostMac: "fe:00:00:00:00:01" });
  const bare = lease("c1", { ...RECORD, hosts: "veth0" });
  const original = lease("c1");
  const rows: [string, Lease, World, string][] = [
    ["none stands", imported, { veths: [] }, "gone"],
    ["the runtime shows it", imported, { veths: [V0, V1], there: 8 }, "veth1"],
    ["its address is seen", imported, {
      veths: [V0, V1],
      behind: { veth1: ["eth0", "10.0.0.2/24"] },
    }, "veth1"],
    ["all are looked into, none has it", imported, {
      veths: [V0, V1],
      behind: { veth0: ["eth0", "10.0.0.3/24"], veth1: ["eth0"] },
    }, "gone"],
    ["one can't be looked into", imported, {
      veths: [V0, V1],
      behind: { veth0: ["eth0", "10.0.0.3/24"] },
    }, "hidden"],
    ["the only one, by its MAC", single, { veths: [V0] }, "veth0"],
    [
      "the only one, with another MAC",
      single,
      { veths: [veth("veth0", 7, "fe:99:00:00:00:01")] },
      "hidden",
    ],
    ["another interface than the one asked for", bare, {
      veths: [V0],
      there: "no interface",
      behind: { veth0: ["net1", "10.0.0.2/24"] },
    }, "another"],
    ["the original's, gone", original, { veths: [V0] }, "gone"],
    ["the original's", original, { veths: [OLD], there: 9 }, LEGACY],
    [
      "the original's, its namespace gone",
      original,
      { veths: [OLD], there: "no namespace" },
      LEGACY,
    ],
    ["the original's, its address gone", original, {
      veths: [OLD],
      there: "no interface",
      behind: { [LEGACY]: ["eth0"] },
    }, LEGACY],
    ["the original's, of another interface", original, {
      veths: [OLD],
      there: "no interface",
      behind: { [LEGACY]: ["net1"] },
    }, "another"],
    [
      "the original's, not to be looked into",
      original,
      { veths: [OLD], there: "no interface" },
      "another",
    ],
  ];
  const whereabouts = { netns: "/run/netns/c1" as NetnsPath, ifname: parseInterfaceName("eth0") };
  for (const [name, held, world, expected] of rows) {
    const found = await findHost(held, NET, kernel(world), whereabouts);
    assertEquals(typeof found === "object" ? found.ifname : found, expected, name);
  }
  // A GC says of no container where it is.
  const found = await findHost(original, NET, kernel({ veths: [OLD] }));
  assertEquals(typeof found === "object" && found.ifname, LEGACY);
});

Deno.test("findRenamed() knows a host veth by its alias, or else by its MAC", async () => {
  const hostMac = "fe:00:00:00:00:07";
  const record = { since: "2026-01-01T00:00:00Z", hostMac };
  const held = { ...lease("c1/eth0"), record };
  const find = async (...veths: Link[]) =>
    (await findRenamed(held, NET, kernel({ veths })))?.ifname;
  const rows: [Link[], string | undefined][] = [
    [[], undefined],
    [[veth("renamed0", 7, "", "web/front podnet/c1/eth0")], "renamed0"],
    [[veth("renamed0", 7, "", "podnet/c1/eth1")], undefined],
    [[veth("renamed0", 7, "", "other/c1/eth0")], undefined],
    [[veth("renamed0", 7, "", "")], undefined],
    [[veth("renamed0", 7, hostMac, "the web server")], "renamed0"],
    [[veth("renamed0", 7, hostMac, "podnet/c2/eth0")], undefined],
  ];
  for (const [veths, expected] of rows) assertEquals(await find(...veths), expected);
});
