import { assertEquals } from "@std/assert";
import { parseIp } from "../../lib/base/address.ts";
import { hostVethName, tryOwner } from "../../lib/base/attachment.ts";
import { groupOf, parseNetworkName } from "../../lib/base/names.ts";
import type { Lease, LeaseRecord } from "../../lib/ipam.ts";
import { parseLink } from "../../lib/netops/links.ts";
import { claims, type HostVeth, mayHold, needsInspection } from "../../lib/ownership.ts";
import { range } from "./sets.ts";

const NET = parseNetworkName("podnet");
const OTHER = parseNetworkName("other");
const GROUP = groupOf(NET);
const MAC: Record<string, string> = { a: "fe:00:00:00:00:0a", b: "fe:00:00:00:00:0b" };
const IP: Record<string, string> = { a: "10.86.0.2", b: "10.86.0.3" };
const SETS = [[range("10.86.0.0/24")]];

async function nameOf(key: string, network = NET): Promise<string> {
  const owner = tryOwner(key);
  if (owner === undefined) throw new Error(key);
  return await hostVethName({ network, ...owner });
}

const NAME: Record<string, string> = {
  a: await nameOf("a/eth0"),
  b: await nameOf("b/eth0"),
  old: await nameOf("old"),
  other: await nameOf("a/eth0", OTHER),
};

function lease(id: string, record: Partial<LeaseRecord> = {}): Lease {
  const owner = tryOwner(`${id}/eth0`);
  if (owner === undefined) throw new Error(id);
  const ips = [parseIp(IP[id] ?? "")];
  return {
    owner,
    ips,
    record: { since: "2026-01-01T00:00:00Z", hostMac: MAC[id] ?? "", ...record },
  };
}

const A = lease("a");
const B = lease("b");
const PAIR: Lease = { ...A, ips: [...A.ips, parseIp("fd00:88::2")] };
const HELD: Lease = { owner: tryOwner("old") ?? A.owner, ips: A.ips, record: undefined };
const IMPORTED = lease("a", { hosts: "veth1" });
const EITHER = lease("a", { hosts: "veth1 veth2", hostMac: "" });
const OR = lease("b", { hosts: "veth1 veth2", hostMac: "" });

interface Veth {
  readonly name?: string | undefined;
  readonly mac?: string | undefined;
  readonly alias?: string;
  readonly group?: number;
  readonly master?: string;
  /** Addresses in the container; `undefined` if the veth can't be inspected. */
  readonly ips?: readonly string[];
  readonly add?: HostVeth["add"];
}

let index = 10;
function veth(of: Veth): HostVeth {
  const { name = NAME["a"], mac = MAC["a"], alias = "podnet/a/eth0", group = GROUP } = of;
  const link = parseLink({
    ...{
      ifindex: ++index,
      ifname: name,
      address: mac,
      ifalias: alias,
      group: String(group),
      link_netnsid: 1,
    },
    master: of.master ?? "br0",
  });
  const peer = parseLink({
    ifname: "eth0",
    addr_info: (of.ips ?? []).map((local) => ({ local, prefixlen: 24 })),
  });
  const inside = of.ips && { netns: "/run/netns/a", links: [peer], peer };
  return { link, inside, add: of.add ?? "none" };
}

/** A claim as `kind owner names of its veths`. */
async function claimed(leases: readonly Lease[], veths: readonly Veth[], bridge?: string) {
  const view = veths.map(veth);
  const found = await claims({ name: NET, bridge: bridge ?? "br0" }, leases, view);
  return found.map(({ kind, lease, veths }) =>
    [kind, lease?.owner.containerId ?? "-", ...veths.map((it) => view.indexOf(it))].join(" ")
  );
}

const ELSE = "fe:00:00:00:00:0f";
const ROOTS = "dc1/rack2/web";
const ROWS: readonly (readonly [string, readonly Lease[], readonly Veth[], readonly string[]])[] = [
  ["as the ADD left it", [A], [{}], ["live a 0"]],
  ["no veth", [A], [], ["stale a"]],
  ["renamed", [A], [{ name: "x" }], ["live a 0"]],
  ["renamed, alias emptied", [A], [{ name: "x", alias: "" }], ["live a 0"]],
  ["alias emptied", [A], [{ alias: "" }], ["live a 0"]],
  ["an alias of root's own, as if of another network", [A], [{ alias: ROOTS }], ["live a 0"]],
  ["the same, renamed", [A], [{ alias: ROOTS, name: "x" }], ["live a 0"]],
  ["the same, in another group", [A], [{ alias: ROOTS, group: 0 }], ["live a 0"]],
  ["only the MAC agrees", [A], [{ name: "x", alias: "", group: 0, master: "" }], ["live a 0"]],
  ["MAC changed, the address is seen", [A], [{ mac: ELSE, ips: [IP["a"] ?? ""] }], ["live a 0"]],
  ["of a later ADD", [A], [{ mac: ELSE, ips: ["10.86.0.9"] }], ["superseded a 0"]],
  ["MAC changed, one of two addresses is seen", [PAIR], [{ mac: ELSE, ips: [IP["a"] ?? ""] }], [
    "superseded a 0",
  ]],
  ["MAC changed, not to be inspected", [A], [{ mac: ELSE }], ["undecided a 0"]],
  ["its ADD is running", [A], [{ mac: ELSE, add: "running" }], ["live a 0"]],
  ["a lease without a MAC", [lease("a", { hostMac: "" })], [{ mac: ELSE }], ["live a 0"]],
  ["only alias and group agree", [A], [{ name: "x", mac: ELSE, ips: ["10.86.0.9"] }], [
    "superseded a 0",
  ]],
  ["an alias alone proves nothing", [A], [{ name: "x", mac: ELSE, group: 0 }], [
    "stale a",
    "unowned - 0",
  ]],
  ["alias alone, on another bridge", [A], [{ name: "x", mac: ELSE, group: 0, master: "br9" }], [
    "stale a",
    "unowned - 0",
  ]],
  ["b's alias on a's veth", [A, B], [{ alias: "podnet/b/eth0" }], ["live a 0", "stale b"]],
  ["b's MAC on a's veth", [A, B], [{ mac: MAC["b"], ips: [] }], [
    "superseded a 0",
    "undecided b 0",
  ]],
  ["b's MAC on a's veth, and b's veth", [A, B], [
    { mac: MAC["b"], ips: [IP["a"] ?? ""] },
    { name: NAME["b"], mac: MAC["b"], alias: "podnet/b/eth0" },
  ], ["live a 0", "live b 1"]],
  ["b's veth under a's name", [A, B], [{ mac: MAC["b"], alias: "podnet/b/eth0" }], [
    "undecided a 0",
    "live b 0",
  ]],
  ["the same, in another group", [A, B], [
    { mac: MAC["b"], alias: "podnet/b/eth0", group: 0 },
  ], ["undecided a 0", "live b 0"]],
  ["b's renamed veth has a's address", [A, B], [
    { name: "x", mac: MAC["b"], alias: "", ips: [IP["a"] ?? ""] },
  ], ["stale a", "live b 0"]],
  ["name against MAC, the address is seen", [A, B], [
    { mac: MAC["b"], alias: "", ips: [IP["a"] ?? ""] },
  ], ["undecided a 0", "undecided b 0"]],
  ["name against MAC", [A, B], [{ mac: MAC["b"], alias: "" }], ["undecided a 0", "undecided b 0"]],
  ["a later veth next to the lease's renamed one", [A], [{ mac: ELSE }, { name: "x" }], [
    "live a 1",
    "unleased - 0",
  ]],
  ["two veths have its MAC", [A], [{ name: "x", alias: "" }, { name: "y", alias: "" }], [
    "undecided a 0 1",
  ]],
  ["name, MAC and alias changed, not to be inspected", [A], [{ name: "x", mac: ELSE, alias: "" }], [
    "undecided a 0",
  ]],
  ["the same, to be inspected", [A], [{ name: "x", mac: ELSE, alias: "", ips: [] }], [
    "stale a",
    "unleased - 0",
  ]],
  ["the same, and the address is seen", [A], [
    { name: "x", mac: ELSE, alias: "", ips: [IP["a"] ?? ""] },
  ], ["undecided a 0"]],
  ["the same, with b's alias", [A], [
    { name: "x", mac: ELSE, alias: "podnet/b/eth0", ips: [IP["a"] ?? ""] },
  ], ["undecided a 0"]],
  ["b's alias on a veth that can't be inspected", [A], [
    { name: "x", mac: ELSE, alias: "podnet/b/eth0" },
  ], ["stale a", "unleased - 0"]],
  ["the veth of another running ADD, not to be inspected", [A], [
    { name: NAME["b"], mac: ELSE, alias: "", add: "running" },
  ], ["stale a", "adding - 0"]],
  ["the veth of a killed ADD, without lease", [], [{ add: "died" }], ["unleased - 0"]],
  ["the veth of a running ADD, without lease", [], [{ add: "running" }], ["adding - 0"]],
  ["the same, and the state lost its lease", [], [{ add: "leased" }], ["unleased - 0"]],
  ["its ADD has its lease and is running", [A], [{ mac: ELSE, add: "leased" }], ["live a 0"]],
  ["no lease, alias changed by root", [], [{ alias: ROOTS }], ["unleased - 0"]],
  ["no lease, alias emptied, renamed", [], [{ alias: "", name: "x" }], ["unleased - 0"]],
  ["no lease, no group", [], [{ group: 0 }], ["unleased - 0"]],
  ["no lease, a cut alias", [], [{ group: 0, alias: `podnet/${"a".repeat(248)}` }], [
    "unleased - 0",
  ]],
  ["a cut alias under another name proves nothing", [], [
    { group: 0, name: "x", alias: `podnet/${"a".repeat(248)}`, master: "br9" },
  ], ["unowned - 0"]],
  [
    "a veth of another network",
    [A],
    [{ name: NAME["other"], alias: "other/a/eth0", group: 0, mac: ELSE }],
    [
      "stale a",
    ],
  ],
  [
    "a veth of another network in this group",
    [],
    [{ name: NAME["other"], alias: "other/a/eth0" }],
    [],
  ],
  ["a veth of another program on the bridge", [], [{ name: "veth1", alias: "", group: 0 }], [
    "unowned - 0",
  ]],
  ["on another bridge", [], [{ name: "veth1", alias: "", group: 0, master: "br9" }], []],
  ["imported, by name and MAC", [IMPORTED], [{ name: "veth1", alias: "", group: 0 }], ["live a 0"]],
  ["imported, renamed", [IMPORTED], [{ name: "x", alias: "", group: 0 }], ["live a 0"]],
  ["imported, MAC changed, seen", [IMPORTED], [
    { name: "veth1", alias: "", group: 0, mac: ELSE, ips: [IP["a"] ?? ""] },
  ], ["live a 0"]],
  ["imported, another container has the name", [IMPORTED], [
    { name: "veth1", alias: "", group: 0, mac: ELSE, ips: ["10.86.0.9"] },
  ], ["stale a", "unowned - 0"]],
  ["imported, MAC changed, not seen", [IMPORTED], [
    { name: "veth1", alias: "", group: 0, mac: ELSE },
  ], ["undecided a 0"]],
  ["imported, gone, an unowned veth not to be inspected", [IMPORTED], [
    { name: "x", alias: "", group: 0, mac: ELSE },
  ], ["stale a", "unowned - 0"]],
  ["imported, gone, and its address behind another bridge", [IMPORTED], [
    { name: "x", alias: "", group: 0, mac: ELSE, master: "br9", ips: [IP["a"] ?? ""] },
  ], ["stale a"]],
  ["imported, one of two, not to be inspected", [EITHER], [
    { name: "veth1", alias: "", group: 0 },
    { name: "veth2", alias: "", group: 0 },
  ], ["undecided a 0 1", "unowned - 0", "unowned - 1"]],
  ["two imported, two veths", [EITHER, OR], [
    { name: "veth1", alias: "", group: 0 },
    { name: "veth2", alias: "", group: 0, master: "" },
  ], ["undecided a 0 1", "undecided b 0 1"]],
  ["imported, found inside one of two", [EITHER], [
    { name: "veth1", alias: "", group: 0, ips: ["10.86.0.9"] },
    { name: "veth2", alias: "", group: 0, ips: [IP["a"] ?? ""] },
  ], ["live a 1", "unowned - 0"]],
  ["a lease of the Go original", [HELD], [{ name: NAME["old"], alias: "", group: 0, mac: ELSE }], [
    "live old 0",
  ]],
  ["a lease of the Go original, renamed, seen", [HELD], [
    { name: "x", alias: "", group: 0, mac: ELSE, ips: [IP["a"] ?? ""] },
  ], ["live old 0"]],
  ["a lease of the Go original, renamed, not to be inspected", [HELD], [
    { name: "x", alias: "", group: 0, mac: ELSE },
  ], ["undecided old 0"]],
  ["a lease of the Go original, gone", [HELD], [
    { name: "x", alias: "", group: 0, mac: ELSE, ips: ["10.86.0.9"] },
  ], ["stale old", "unowned - 0"]],
];

for (const [name, leases, veths, expected] of ROWS) {
  Deno.test(`ownership: ${name}`, async () => {
    assertEquals(await claimed(leases, veths), expected);
  });
}

Deno.test("ownership: without a configured bridge a veth on any bridge counts", async () => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ["br9", ["unowned"]],
    ["", []],
  ];
  for (const [master, expected] of rows) {
    const view = [veth({ name: "veth1", alias: "", group: 0, master })];
    const found = await claims({ name: NET, bridge: undefined }, [], view);
    assertEquals(found.map(({ kind }) => kind), expected, master);
  }
});

Deno.test("ownership: no settled veth is inspected", () => {
  const inDoubt = needsInspection({ name: NET, bridge: "br0" }, [A, B, IMPORTED]);
  const rows: readonly (readonly [Veth, boolean])[] = [
    [{}, false],
    [{ name: "x", alias: "" }, false],
    [{ mac: ELSE }, true],
    [{ mac: ELSE, alias: "", group: 0, name: "veth9" }, true],
    [{ mac: ELSE, alias: "", group: 0, name: "veth9", master: "br9" }, false],
    [{ mac: ELSE, alias: "", name: "veth9", master: "br9" }, true],
    [{ mac: ELSE, alias: "", group: 0, name: "veth1", master: "br9" }, true],
    [{ alias: "", group: 0, name: "veth1" }, false],
    [{ mac: MAC["b"], alias: "", group: 0, name: "veth1" }, true],
    [{ mac: ELSE, alias: "other/a/eth0", group: 0, name: NAME["other"] ?? "" }, false],
    [{ mac: ELSE, alias: "other/a/eth0", group: 0, name: "veth9" }, true],
  ];
  for (const [of, expected] of rows) {
    assertEquals(inDoubt(veth(of).link), expected, JSON.stringify(of));
  }
});

Deno.test("ownership: mayHold() prevents allocation from a state in doubt", async () => {
  const rows: readonly (readonly [readonly Lease[], Veth, boolean])[] = [
    [[A], {}, false],
    [[A], { mac: ELSE, ips: ["10.86.0.9"] }, true],
    [[A], { mac: ELSE }, true],
    [[EITHER], { name: "veth1", alias: "", group: 0 }, false],
    [[], { ips: [] }, true],
    [[], { ips: [], add: "died" }, false],
    [[], { ips: ["10.86.0.9"], add: "died" }, true],
    [[], { add: "running" }, false],
    [[], { ips: [], add: "running" }, false],
    [[], { ips: ["10.86.0.9"], add: "running" }, true],
    [[], { add: "leased" }, true],
    [[], { ips: [], add: "leased" }, true],
    [[], { name: "veth1", alias: "", group: 0 }, true],
    [[], { name: "veth1", alias: "", group: 0, ips: ["10.86.0.9"] }, true],
    [[], { name: "veth1", alias: "", group: 0, ips: ["10.99.0.9"] }, false],
  ];
  for (const [leases, of, expected] of rows) {
    const found = await claims({ name: NET, bridge: "br0" }, leases, [veth(of)]);
    assertEquals(found.some((it) => mayHold(it, SETS)), expected, JSON.stringify(of));
  }
});
