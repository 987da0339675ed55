import { assertEquals } from "@std/assert";
import { parseInterfaceAddress } from "../../../lib/base/address.ts";
import { aliasOf, type Attachment, hostVethName } from "../../../lib/base/attachment.ts";
import {
  groupOf,
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
} from "../../../lib/base/names.ts";
import type { Holder, Marks, Work } from "../../../lib/ipam.ts";
import type { Inside, Kernel, Link } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { evidenceOf, type Subject } from "../../../lib/plugin/evidence.ts";
import { range } from "../sets.ts";

const NAME = parseNetworkName("podnet");
const SUBJECT: Subject = {
  name: NAME,
  bridge: "br0",
  sets: [[range("10.0.0.0/29", { end: "10.0.0.4" })], [range("fd00::/125")]],
};

function attachment(id: string): Attachment {
  return { network: NAME, containerId: parseContainerId(id), ifname: parseInterfaceName("eth0") };
}

const C1 = attachment("c1");
const GROUP = groupOf(SUBJECT.name);
const OWN = await hostVethName(C1);

/** A host veth, with these addresses behind it; `undefined` where nobody can look there. */
interface Veth extends Partial<Link> {
  readonly behind?: readonly string[];
}

async function holders(
  veth: Veth,
  { subject = SUBJECT, mark = "none", beside }: {
    subject?: Subject;
    mark?: Work;
    beside?: Attachment;
  } = {},
): Promise<readonly Holder[]> {
  const { behind, ...changes } = veth;
  const link: Link = { ...parseLink({}), netnsId: 0, ifname: "veth0", ...changes };
  const peer: Link = {
    ...parseLink({ ifname: "eth0" }),
    addresses: (behind ?? []).map((it) => ({ ...parseInterfaceAddress(it), isDynamic: false })),
  };
  const kernel = {
    veths: () => Promise.resolve(new Map([[link.ifname, link]])),
    lookInside: (hosts: readonly Link[]) => {
      const found = new Map<string, Inside>();
      if (behind !== undefined) {
        for (const { ifname } of hosts) found.set(ifname, { netns: "c1", links: [peer], peer });
      }
      return Promise.resolve(found);
    },
  } as Partial<Kernel> as Kernel;
  const marks = { of: () => mark } as Partial<Marks> as Marks;
  return await evidenceOf(subject, { kernel, marks, warn: () => {} }).holders(beside);
}

Deno.test("holders() has who has an address of the network, or may have one", async () => {
  const ours = { ifname: OWN, alias: aliasOf(C1, "web/front") };
  const renamed = { ...ours, ifname: "renamed0" };
  const cut = { ifname: "av0123456789abc", alias: `podnet/${"c".repeat(248)}` };
  const stranger = { ifname: "veth0", master: "br0" };
  const c1 = { name: "c1/eth0", key: "c1/eth0", isSeen: true };
  const rows: [string, Veth, Parameters<typeof holders>[1], Partial<Holder>[]][] = [
    ["ours", { ...ours, behind: ["10.0.0.2/29"] }, {}, [{ ...c1, host: OWN }]],
    ["with any address: it may be of a range of old", { ...ours, behind: ["10.9.0.2/29"] }, {}, [
      { ...c1, host: OWN },
    ]],
    ["without an address", { ...ours, behind: [] }, {}, [{ ...c1, host: OWN }]],
    ["without one yet, its ADD at work", { ...ours, behind: [] }, { mark: "running" }, []],
    ["without one, its ADD died", { ...ours, behind: [] }, { mark: "died" }, []],
    ["not to be looked into", ours, {}, [{ ...c1, host: OWN, isSeen: false }]],
    ["whose ADD is at work", ours, { mark: "running" }, []],
    ["whose ADD died", ours, { mark: "died" }, [{ ...c1, host: OWN, isSeen: false }]],
    ["the one that asks", { ...ours, behind: ["10.0.0.2/29"] }, { beside: C1 }, []],
    [
      "beside another that asks",
      { ...ours, behind: ["10.0.0.2/29"] },
      { beside: attachment("c2") },
      [
        { ...c1, host: OWN },
      ],
    ],
    ["renamed", { ...renamed, behind: ["10.0.0.2/29"] }, {}, [{ ...c1, host: "renamed0" }]],
    ["another network's", { ...ours, alias: "other/c1/eth0", behind: ["10.0.0.2/29"] }, {}, []],
    ["its alias cut", cut, {}, [{
      name: cut.ifname,
      key: undefined,
      host: cut.ifname,
      isSeen: false,
    }]],
    ["in this namespace", { ...ours, netnsId: undefined }, {}, []],
    ["without an alias: its ADD is between two commands", { ifname: OWN, group: GROUP }, {
      mark: "running",
    }, []],
    [
      "its name and alias taken away, its bridge too",
      { ifname: "web0", alias: "the web server", group: GROUP, behind: ["10.0.0.2/29"] },
      {},
      [{ name: "web0", key: undefined, host: "web0", isSeen: true }],
    ],
    ["of another group", { ifname: "web0", group: GROUP + 1, behind: ["10.0.0.2/29"] }, {}, []],
    ["a stranger with an IPv4 address", { ...stranger, behind: ["10.0.0.3/29"] }, {}, [
      { name: "veth0", key: undefined, host: "veth0", isSeen: true },
    ]],
    [
      "a stranger with an IPv6 address",
      { ...stranger, behind: ["10.9.0.1/8", "fd00::3/125"] },
      {},
      [
        { name: "veth0", key: undefined, host: "veth0", isSeen: true },
      ],
    ],
    [
      "a stranger outside of what is given",
      { ...stranger, behind: ["10.0.0.5/29", "10.0.0.1/29"] },
      {},
      [],
    ],
    ["a stranger that can't be looked into", stranger, { mark: "running" }, [
      { name: "veth0", key: undefined, host: "veth0", isSeen: false },
    ]],
    ["a stranger elsewhere", { ifname: "veth0", master: "br1", behind: ["10.0.0.3/29"] }, {}, []],
    ["a stranger nowhere", { ifname: "veth0", behind: ["10.0.0.3/29"] }, {
      subject: { ...SUBJECT, bridge: "" },
    }, []],
    ["where it is not known what is given", { ...stranger, behind: ["10.9.0.3/29"] }, {
      subject: { ...SUBJECT, sets: undefined },
    }, [{ name: "veth0", key: undefined, host: "veth0", isSeen: true }]],
  ];
  for (const [name, veth, world, expected] of rows) {
    const found = await holders(veth, world);
    const said = found.map(({ mac: _, ips: __, ...rest }) => rest);
    assertEquals<readonly Partial<Holder>[]>(said, expected, name);
    const behind = (veth.behind ?? []).map((it) => it.split("/")[0]);
    for (const { ips } of found) assertEquals<readonly unknown[]>(ips, behind, name);
  }
});
