import { assertEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { container, hide } from "./containers.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;
const NARROW = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.9" } };
const BOTH = {
  ...CONFIG,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  ipam: { rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::99" },
};
/** c1 has `ips` in this order, as the kernel lists them. */
const has = (id: string, ...ips: string[]) =>
  `ip -n ${id} addr flush dev eth0 scope global; ${
    ips.map((ip) => `ip -n ${id} addr add ${ip} dev eth0 nodad`).join("; ")
  }`;

/** A host with the containers c1 and c2, a harm, and the report of repair. `$V1` and `$V2` are the host veths. */
interface Row {
  readonly name: string;
  readonly config?: Json;
  /** The configuration that repair gets, if it is another one. */
  readonly repaired?: Json;
  readonly given: string;
  /** The exit status, and owner and addresses of `found` and `dropped`. */
  readonly exit: number;
  readonly found?: readonly string[];
  readonly dropped?: readonly string[];
  /** The level of each finding, and a part of its text and its remedy. */
  readonly findings: readonly (readonly [level: string, found: string, remedy?: RegExp])[];
  /** A shell command, and its output after the repair. */
  readonly then?: readonly [command: string, output: string];
}

/** The lease of c2 is lost, that of c1 is not. */
const ONLY_C1 = `cp /run/c1.json ${STATE}`;
const MASTERS =
  `for v in $V1 $V2; do ip -o link show dev $v | grep -o 'master [a-z0-9]*' || echo none; done`;

const ROWS: readonly Row[] = [
  {
    name: "of two addresses the one that fits the MAC counts, also if it is listed last",
    config: NARROW,
    given: `${has("c1", "10.86.0.8/24", "10.86.0.2/24")}; : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3"],
    findings: [],
  },
  {
    name: "the second address of a container is in another container too",
    config: NARROW,
    given: `${has("c1", "10.86.0.2/24", "10.86.0.8/24")}; ${
      has("c2", "10.86.0.3/24", "10.86.0.8/24")
    }; : >${STATE}`,
    exit: 2,
    findings: [
      ["unverified", '10.86.0.8 is in two containers without a lease: "c1/eth0" and "c2/eth0"'],
      ["unverified", '10.86.0.8 is in two containers without a lease: "c2/eth0" and "c1/eth0"'],
    ],
  },
  {
    name: "two addresses of the second family, while the first one fits the MAC",
    config: BOTH,
    given: `ip -n c1 addr add fd00:88::77/64 dev eth0 nodad; : >${STATE}`,
    exit: 2,
    findings: [["unverified", '"c1/eth0" has 10.86.0.2 and fd00:88::']],
    found: ["c2/eth0 10.86.0.3 fd00:88::3"],
  },
  {
    name: "a container without its address of the second family gets a lease of the first",
    config: BOTH,
    given: `${has("c1", "10.86.0.2/24")}; : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3 fd00:88::3"],
    findings: [],
  },
  {
    name: "a container with the MAC of another's lease",
    given: `${ONLY_C1}; ip -n c2 link set dev eth0 address 0a:58:0a:56:00:02`,
    exit: 2,
    findings: [["unverified", '"c2/eth0" has the MAC 0a:58:0a:56:00:02 of "c1/eth0"']],
  },
  {
    name: "a container with the MAC of another without a lease",
    given: `: >${STATE}; ip -n c2 link set dev eth0 address 0a:58:0a:56:00:02`,
    exit: 2,
    found: ["c1/eth0 10.86.0.2"],
    findings: [["unverified", '"c2/eth0" has the MAC 0a:58:0a:56:00:02 of "c1/eth0"']],
  },
  {
    name: "a container with the MAC of the bridge",
    given: `${ONLY_C1}; ip -n c2 link set dev eth0 address 0a:58:0a:56:00:01`,
    exit: 2,
    findings: [["unverified", 'has the MAC 0a:58:0a:56:00:01 of the bridge "atomic0"']],
  },
  {
    name: "only the second family's subnet was changed",
    config: BOTH,
    repaired: { ...BOTH, subnet6: "fd00:99::/64", gateway6: "fd00:99::1", ipam: {} },
    given: "ip link set dev $V1 nomaster",
    exit: 1,
    findings: [["wrong", "2 leases are outside of 10.86.0.0/24, fd00:99::/64"]],
    // A port with a lease in another subnet has another gateway.
    then: [MASTERS, "none\nmaster atomic0\n"],
  },
  {
    name: "a lease of a changed subnet keeps the ranges that the file has",
    repaired: { ...CONFIG, subnet: "10.99.0.0/24", gateway: "10.99.0.1", bridge: "atomic9" },
    given: "ip link del dev $V2",
    exit: 1,
    dropped: ["c2/eth0 10.86.0.3"],
    findings: [["wrong", "1 lease is outside of 10.99.0.0/24"]],
    then: [
      `grep -o '"ranges":..."subnet":"[0-9./]*"' ${STATE}`,
      '"ranges":[[{"subnet":"10.86.0.0/24"\n',
    ],
  },
  {
    name: "an unowned veth with an address of the second family",
    config: BOTH,
    given: `${container("x", "str0", "atomic0", "fd00:88::55/64")} : >${STATE}`,
    exit: 2,
    found: ["c1/eth0 10.86.0.2 fd00:88::2", "c2/eth0 10.86.0.3 fd00:88::3"],
    findings: [["unverified", "fd00:88::55 is behind str0, whose owner is unknown"]],
  },
  {
    name: "an unowned veth with an address outside the range",
    config: NARROW,
    given: `${container("x", "str0", "atomic0", "10.86.0.99/24")} : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3"],
    findings: [],
  },
  {
    name: "an unowned veth with the address of a lease, which outweighs it",
    config: NARROW,
    given: container("x", "str0", "atomic0", "10.86.0.2/24"),
    exit: 0,
    findings: [],
  },
  {
    name: "an unowned veth that can't be inspected, and a lost state",
    given: `${container("x", "str0", "atomic0")} ${hide("x")}; : >${STATE}`,
    exit: 2,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3"],
    findings: [[
      "unverified",
      "str0 on atomic0 has no known owner, and its other end can't be inspected",
      /ip netns attach reach-/,
    ]],
  },
  {
    name: "an unowned veth that can't be inspected, and a consistent state",
    given: `${container("x", "str0", "atomic0")} ${hide("x")}`,
    exit: 0,
    findings: [],
  },
  {
    name: "the other end is in the host's own namespace, so no namespace can be named",
    given:
      `ip netns exec c1 ip link set dev eth0 netns $$ name in0; ip link set dev $V1 master atomic0 up
      : >${STATE}`,
    exit: 2,
    found: ["c2/eth0 10.86.0.3"],
    findings: [["unverified", "can't be inspected", /^remove that container/]],
  },
  {
    name: "the only address is outside the range",
    config: NARROW,
    given: `${has("c1", "10.86.0.99/24")}; : >${STATE}`,
    exit: 2,
    found: ["c2/eth0 10.86.0.3"],
    findings: [["unverified", '"c1/eth0" has 10.86.0.99: which is its lease?']],
  },
  {
    name: "a found lease with a MAC of its own records the bridge, whose neighbour DEL flushes",
    given: `ip -n c1 link set dev eth0 address 02:00:00:00:00:07; : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3"],
    findings: [],
    then: [
      `grep -Eo '"mac":"02:00:00:00:00:07"|"bridge":"[a-z0-9]*"' ${STATE} | sort | xargs -n 2`,
      "bridge:atomic0 mac:02:00:00:00:00:07\n",
    ],
  },
  {
    name: "found leases go on after the highest address, in whatever order they are found",
    config: NARROW,
    given: `${has("c1", "10.86.0.6/24")}; ip -n c1 link set dev eth0 address 0a:58:0a:56:00:06
      : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.6", "c2/eth0 10.86.0.3"],
    findings: [],
    then: [`grep -o '"lastReserved":"[0-9.]*"' ${STATE}`, '"lastReserved":"10.86.0.6"\n'],
  },
  {
    name: "each family goes on after its own highest address",
    config: BOTH,
    given: `: >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2 fd00:88::2", "c2/eth0 10.86.0.3 fd00:88::3"],
    findings: [],
    then: [
      `grep -o '"lastReserved":[^]]*]' ${STATE}`,
      '"lastReserved":["10.86.0.3","fd00:88::3"]\n',
    ],
  },
  {
    name: "a dropped lease does not move the next address back",
    given: "ip link del dev $V2",
    exit: 0,
    dropped: ["c2/eth0 10.86.0.3"],
    findings: [],
    then: [
      `grep -Eo '"lastReserved":"[0-9.]*"|c2/eth0' ${STATE}`,
      '"lastReserved":"10.86.0.3"\n',
    ],
  },
  {
    name: "a port with a found lease returns to its bridge",
    given: `ip link set dev $V2 nomaster; ${ONLY_C1}`,
    exit: 0,
    found: ["c2/eth0 10.86.0.3"],
    findings: [["note", "put right: it is not in"]],
    then: [MASTERS, "master atomic0\nmaster atomic0\n"],
  },
  {
    name: "a port with a found lease stays out, if nothing is written",
    given: `ip link set dev $V1 nomaster; ${hide("c2")}; : >${STATE}`,
    exit: 2,
    found: ["c1/eth0 10.86.0.2"],
    findings: [["unverified", "can't be inspected"]],
    then: [MASTERS, "none\nmaster atomic0\n"],
  },
  {
    name: "a port in another bridge stays there, and is not a success",
    given: "ip link add br9 type bridge; ip link set dev $V1 master br9",
    exit: 1,
    findings: [[
      "wrong",
      'it is in "br9", not in "atomic0"',
      /^ip link set dev av\w+ nomaster, and/,
    ]],
    then: [MASTERS, "master br9\nmaster atomic0\n"],
  },
  {
    name:
      "IPv6 is disabled on the bridge: the cause comes first, and each port has one complaint of ip",
    config: { ...BOTH, macspoofchk: true },
    given: "echo 1 >/proc/sys/net/ipv6/conf/atomic0/disable_ipv6",
    exit: 1,
    findings: [
      ["wrong", "IPv6 is disabled on it", /^sysctl -w /],
      ["wrong", "ip: Error: IPv6 is disabled on this device.", /^look at/],
      ["wrong", "ip: Error: IPv6 is disabled on this device.", /^look at/],
      ["wrong", '"atomic0" lacks fd00:88::1/64'],
    ],
  },
  {
    name: "of two ports only the second is wrong",
    config: { ...BOTH, macspoofchk: true },
    given: "ip link set dev $V2 type bridge_slave locked off",
    exit: 0,
    findings: [["note", '"c2/eth0" (']],
  },
  {
    name: "without a gateway on the bridge there is nothing to pin in a container",
    config: {
      cniVersion: "1.1.0",
      name: "podnet",
      type: "atomicni",
      bridge: "atomic0",
      macspoofchk: true,
      ipam: { type: "host-local", subnet: "10.86.0.0/24" },
    },
    given: ":",
    exit: 0,
    findings: [],
    then: ["ip -n c1 neigh show nud permanent", ""],
  },
  {
    name: "a found lease has the pod of the veth's alias, and no bridge",
    given: `ip link set dev $V1 alias 'web/front podnet/c1/eth0'; : >${STATE}`,
    exit: 0,
    found: ["c1/eth0 10.86.0.2", "c2/eth0 10.86.0.3"],
    findings: [],
    then: [`grep -oE '"(pod|bridge)":"[^"]*"' ${STATE}`, '"pod":"web/front"\n'],
  },
  {
    name: "a found lease of a guarded network has its bridge, whose neighbours DEL removes",
    config: { ...CONFIG, macspoofchk: true },
    given: `${ONLY_C1}`,
    exit: 0,
    found: ["c2/eth0 10.86.0.3"],
    findings: [],
    then: [`grep -oE '"bridge":"[^"]*"' ${STATE} | wc -l`, "2\n"],
  },
  {
    name: "a container without a lease that has no address of the network",
    given: `${ONLY_C1}; ${has("c2", "192.0.2.9/24")}`,
    exit: 1,
    findings: [["wrong", '"c2/eth0" has no address and no lease']],
  },
  {
    name: "a container without a lease that has another's address",
    given: `${ONLY_C1}; ${has("c2", "10.86.0.2/24")}`,
    exit: 1,
    findings: [[
      "wrong",
      '10.86.0.2 is in two containers: "c1/eth0", which keeps the lease, and "c2/eth0"',
    ]],
  },
  {
    name: "the bridge is gone",
    given: `${ONLY_C1}; ip link del dev atomic0`,
    exit: 1,
    found: ["c2/eth0 10.86.0.3"],
    findings: [["wrong", '"atomic0" does not exist, and these live host veths are in no bridge']],
  },
];

for (
  const { name, config = CONFIG, repaired = config, given, exit, findings, then, ...row } of ROWS
) {
  hostTest(`repair: ${name}`, async (host) => {
    await host.containers("c1", "c2");
    const first = (await host.add({ id: "c1", config })).interfaces[1].name;
    await host.sh(`cp ${STATE} /run/c1.json`);
    const second = (await host.add({ id: "c2", config })).interfaces[1].name;
    const sh = async (script: string) => await host.sh(`V1=${first} V2=${second}\n${script}`);
    await sh(given);
    const { code, json, stdout } = await repair(host, repaired);
    const seen = json.findings.map((it: Json, index: number) => [
      it.level,
      it.found.includes(findings[index]?.[1]) ? findings[index]?.[1] : it.found,
      ...(findings[index]?.[2]?.test(it.remedy) === true ? [findings[index]?.[2]] : []),
    ]);
    assertEquals([code, seen], [exit, findings.map((it) => [...it])], stdout);
    // With the input of `ip`, the findings of 1,000 ports would have 1,000 times 1,000 lines.
    assertEquals(stdout.includes("its input was"), false, stdout);
    assertEquals(json.found.map(plain), row.found ?? [], stdout);
    assertEquals(json.dropped.map(plain), row.dropped ?? [], stdout);
    if (then !== undefined) assertEquals(await sh(then[0]), then[1]);
  });
}

async function repair(host: Host, config: Json) {
  return await host.program(["repair", "--json"], JSON.stringify(config));
}

function plain({ owner, addresses }: Json): string {
  return [owner, ...addresses].join(" ");
}
