import { assertEquals, assertStringIncludes } from "@std/assert";
import { hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { container, hide } from "./containers.ts";

const CONFIG = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "cni0",
  isGateway: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.86.0.0/28" }], [{ subnet: "fd00:88::/64" }]],
  },
};

const lease = (ip: string, id: string, ifname = "eth0") => `/x/${ip}:${id}\r\n/x/${ip}:${ifname}\n`;
const old = (ip: string, id: string) => `/x/${ip}:${id}\n`;

/** Containers, a folder of host-local, and what import makes of it. */
interface Row {
  readonly name: string;
  readonly given: string;
  readonly listing: string;
  /** A part of the error. */
  readonly refused?: string;
  /** Owners that are proved, possible (with their hosts) or dead; host veths that are unexplained. */
  readonly proved?: readonly string[];
  readonly possible?: readonly string[];
  readonly dead?: readonly string[];
  readonly unexplained?: readonly string[];
  /** A part of the state file. */
  readonly state?: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: "the gateway is refused",
    given: container("c1", "veth1", "cni0", "10.86.0.1/28"),
    listing: lease("10.86.0.1", "c1"),
    refused: 'Cannot import "10.86.0.1" into network "podnet": it is the gateway',
  },
  {
    name: "the gateway of the second family is refused",
    given: container("c1", "veth1", "cni0", "fd00:88::1/64"),
    listing: lease("fd00:88::1", "c1"),
    refused: 'Cannot import "fd00:88::1" into network "podnet": it is the gateway',
  },
  {
    name: "an address of the second family",
    given: container("c1", "veth1", "cni0", "10.86.0.2/28", "fd00:88::2/64"),
    listing: lease("10.86.0.2", "c1") + lease("fd00:88::2", "c1"),
    proved: ["c1/eth0 10.86.0.2 fd00:88::2"],
  },
  {
    name: "the lease has the second address of the container",
    given: container("c1", "veth1", "cni0", "10.86.0.9/28", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
  },
  {
    name: "of two containers with the address, the one on the network's bridge",
    given: container("x", "veth0", "br9", "10.86.0.2/28") +
      container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
    state: ['"hosts":"veth1"', '"bridge":"cni0"'],
  },
  {
    name: "a container on another bridge, whose neighbours DEL flushes there",
    given: container("c1", "veth1", "br9", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
    state: ['"hosts":"veth1"', '"bridge":"br9"'],
  },
  {
    name: "a hidden container on another bridge may have the address",
    given: container("c1", "veth1", "br9", "10.86.0.2/28") + hide("c1"),
    listing: lease("10.86.0.2", "c1"),
    possible: ["c1/eth0 10.86.0.2: veth1"],
  },
  {
    name: "a hidden container on another bridge, next to one that has the address",
    given: container("x", "veth0", "br9") + hide("x") +
      container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
  },
  {
    name: "two containers with the address on the network's bridge",
    given: container("x", "veth0", "cni0", "10.86.0.2/28") +
      container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    possible: ["c1/eth0 10.86.0.2: veth0 veth1"],
    // One lease explains one veth.
    unexplained: ["veth0", "veth1"],
  },
  {
    name:
      "the interface of the old format comes from the kernel, that of the new one from the file",
    given: container("c1", "veth1", "cni0", "10.86.0.2/28") +
      container("c2", "veth2", "cni0", "10.86.0.3/28"),
    listing: old("10.86.0.2", "c1") + lease("10.86.0.3", "c2", "net1"),
    proved: ["c1/eth0 10.86.0.2", "c2/net1 10.86.0.3"],
  },
  {
    name: "a container with leases of both formats is refused",
    given: ":",
    listing: old("10.86.0.2", "c1") + lease("10.86.0.3", "c1"),
    refused: "the lease of 10.86.0.3 names its interface, and another lease does not",
  },
  {
    name: "a host veth of this plugin does not belong to a lease of host-local",
    given: container("x", "av0123456789abc", "br9", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    dead: ["c1 10.86.0.2"],
    state: ['"containerToIP":{}'],
  },
  {
    name: "a veth without an address of the network is not unexplained",
    given: container("x", "veth0", "cni0", "192.0.2.1/24") +
      container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
  },
  {
    name: "a veth with an address of the second family is unexplained",
    given: container("x", "veth0", "cni0", "fd00:88::9/64") +
      container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
    unexplained: ["veth0"],
  },
  {
    name: "a last reserved address is not a lease, and may be of the second family",
    given: container("c1", "veth1", "cni0", "10.86.0.2/28"),
    listing: `/x/last_reserved_ip.0:10.86.0.7\n/x/last_reserved_ip.1:fd00:88::7\n/x/lock:\n` +
      lease("10.86.0.2", "c1"),
    proved: ["c1/eth0 10.86.0.2"],
    state: ['"lastReserved":["10.86.0.7","fd00:88::7"]'],
  },
];

const BRIDGES = `for it in br9 cni0; do ip link add $it type bridge; ip link set dev $it up; done
ip addr add 10.86.0.1/28 dev cni0; ip addr add fd00:88::1/64 dev cni0 nodad`;
const plain = ({ owner, addresses, hosts }: Json) =>
  [owner, ...addresses].join(" ") + (hosts === undefined ? "" : `: ${hosts}`);
const ownerless = ({ owner, addresses }: Json) => [owner.split("/")[0], ...addresses].join(" ");

for (const { name, given, listing, refused, state = [], ...row } of ROWS) {
  hostTest(`import: ${name}`, async (host) => {
    await host.sh(`${BRIDGES}\n${given}`);
    const stdin = `${JSON.stringify(CONFIG)}\n${listing}`;
    const { code, json, stdout } = await host.program(["import", "--json"], stdin);
    if (refused !== undefined) {
      assertEquals([code, json.error?.code], [2, 7], stdout);
      assertStringIncludes(json.error.msg, refused);
      return;
    }
    const { possible = [], unexplained = [] } = row;
    assertEquals(code, possible.length + unexplained.length > 0 ? 1 : 0, stdout);
    assertEquals(json.proved.map(plain), row.proved ?? [], stdout);
    assertEquals(json.possible.map(plain), possible, stdout);
    assertEquals(json.dead.map(ownerless), row.dead ?? [], stdout);
    assertEquals(json.unexplained, unexplained, stdout);
    const text = await host.sh(`cat ${STATE_FOLDER}/podnet.json`);
    for (const part of state) assertStringIncludes(text.replaceAll("\n", ""), part);
  });
}

hostTest(
  "import: a second one never makes a lease worse, and leaves the next address",
  async (host) => {
    await host.sh(
      `${BRIDGES}\n${container("c1", "veth1", "cni0", "10.86.0.2/28", "fd00:88::2/64")}`,
    );
    const listing = lease("10.86.0.2", "c1") + lease("fd00:88::2", "c1");
    const imported = async (more: string) => {
      const stdin = `${JSON.stringify(CONFIG)}\n${more}${listing}`;
      assertEquals((await host.program(["import"], stdin)).code === 2, false);
      return await host.state();
    };
    const before = await imported("/x/last_reserved_ip.0:10.86.0.7\n");
    assertEquals([before.leases["c1/eth0"].hosts, before.lastReserved], ["veth1", "10.86.0.7"]);
    // Now its namespace can't be entered; the folder has another last address and another lease.
    await host.sh(`${hide("c1")}\n${container("c2", "veth2", "cni0", "10.86.0.3/28")}`);
    const after = await imported(`/x/last_reserved_ip.0:10.86.0.9\n${lease("10.86.0.3", "c2")}`);
    assertEquals(after.leases["c1/eth0"], before.leases["c1/eth0"]);
    assertEquals(
      [after.lastReserved, Object.keys(after.containerToIP)],
      ["10.86.0.7", ["c1/eth0", "c2/eth0"]],
    );
  },
);
