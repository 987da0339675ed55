import { assertEquals } from "@std/assert";
import { CONFIG, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { breakIp } from "../integration/broken_ip.ts";
import { container } from "./containers.ts";

const BOTH = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const GUARDED = { ...BOTH, macspoofchk: true };
const { cniVersion, name: NAME, type, bridge } = CONFIG;
const LAYER2 = { cniVersion, name: NAME, type, bridge, ipam: {} };
const NO_GATEWAY = {
  ...{ cniVersion, name: NAME, type, bridge, isGateway: false },
  ipam: { type: "host-local", subnet: "10.86.0.0/24" },
};
const OTHER = { ...CONFIG, name: "other", bridge: "br9" };
const SMALL = { ...CONFIG, subnet: "10.86.0.0/30" };

/** A host on which the first candidate, or a thing in another place, is not the one that doctor has to judge. */
interface Row {
  readonly name: string;
  readonly config?: Json;
  /** Attachments that exist: container and configuration. */
  readonly added?: readonly (readonly [id: string, config: Json])[];
  /** A shell script; `$V` is the host veth of the first attachment. */
  readonly given: string;
  /** doctor runs while an ADD of the first attachment is in progress. */
  readonly isDuring?: true;
  readonly about: string;
  /** Parts of all findings of that subject but notes of every host, in order. */
  readonly expected: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: "only another bridge exists",
    given: "ip link add br0 type bridge; ip addr add 192.0.2.1/24 dev br0",
    about: "bridge",
    expected: ['ok: "atomic0" does not exist yet'],
  },
  {
    name: "the ports of another bridge are not counted",
    added: [["c1", CONFIG]],
    given: `ip link add br0 type bridge
${container("x", "x0", "br0")}
${container("y", "y0", "br0")}`,
    about: "bridge",
    expected: ['ok: "atomic0": 10.86.0.1/24, up, MTU 1500, ports: 1 of'],
  },
  {
    name: "an MTU of a bridge without ports is set by the first ADD",
    given: "ip link add atomic0 mtu 1400 type bridge",
    about: "bridge",
    expected: ['ok: "atomic0": no address yet, down'],
  },
  {
    name: "lo with an IPv6 address",
    config: BOTH,
    given: ":",
    about: "bridge",
    expected: ['ok: "atomic0" does not exist yet', 'note: a new "atomic0" gets IPv6 if'],
  },
  {
    name: "lo without an IPv6 address",
    config: BOTH,
    given: "ip addr del ::1/128 dev lo",
    about: "bridge",
    expected: ['ok: "atomic0" does not exist yet', 'warning: "lo" has no IPv6 address'],
  },
  {
    name: "lo without an IPv6 address, and an interface with one",
    config: BOTH,
    given: `ip addr del ::1/128 dev lo; ip link add aa type bridge; ip link set dev aa up
      ip addr add fd00:99::1/64 dev aa`,
    about: "bridge",
    expected: ['ok: "atomic0" does not exist yet', 'warning: "lo" has no IPv6 address'],
  },
  {
    name: "lo is down, so its addresses say nothing",
    config: BOTH,
    given: "ip link set dev lo down",
    about: "bridge",
    expected: ['ok: "atomic0" does not exist yet', 'note: a new "atomic0" gets IPv6 if'],
  },
  {
    name: "lo without an IPv6 address, and a bridge that has IPv6 already",
    config: BOTH,
    added: [["c1", BOTH]],
    given: "ip addr del ::1/128 dev lo",
    about: "bridge",
    expected: ['ok: "atomic0": 10.86.0.1/24, fd00:88::1/64'],
  },
  {
    name: "a network without addresses lacks no gateway",
    config: LAYER2,
    added: [["c1", LAYER2]],
    given: ":",
    about: "bridge",
    expected: ['ok: "atomic0": no address yet, up'],
  },
  {
    name: "without a gateway on the bridge, another interface with the subnet is a warning",
    config: NO_GATEWAY,
    given: "ip link add lan type bridge; ip addr add 10.86.0.9/24 dev lan; ip link set dev lan up",
    about: "subnet",
    expected: ['warning: "lan" has 10.86.0.9/24, which overlaps with 10.86.0.0/24'],
  },
  {
    name: "routes on the network's own bridge, and a default route elsewhere",
    added: [["c1", CONFIG]],
    given: `ip route add 10.86.0.128/25 dev atomic0; ip link add lan type bridge
      ip link set dev lan up; ip route add default dev lan`,
    about: "subnet",
    expected: ["ok: nothing else uses 10.86.0.0/24"],
  },
  {
    name: "two networks have parts of one subnet, as STATUS advises",
    config: { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.99" } },
    added: [["c1", {
      ...CONFIG,
      name: "other",
      ipam: { rangeStart: "10.86.0.100", rangeEnd: "10.86.0.199" },
    }]],
    given: "",
    about: "subnet",
    expected: ["ok: nothing else uses 10.86.0.2 - 10.86.0.99"],
  },
  {
    name: "a network without addresses overlaps with nothing",
    config: LAYER2,
    given: ":",
    about: "subnet",
    expected: [],
  },
  {
    name: "a route to a larger network whose first address is that of the subnet",
    given: `ip link add lan type bridge; ip addr add 192.0.2.1/24 dev lan; ip link set dev lan up
      ip route add 10.86.0.0/16 dev lan`,
    about: "subnet",
    expected: ["ok: nothing else uses 10.86.0.0/24"],
  },
  {
    name: "only an address that an ADD may allocate counts in a container of another program",
    added: [["c1", CONFIG]],
    given: `${container("x", "x0", "atomic0", "192.0.2.9/24", "10.86.0.77/24")}
${container("y", "y0", "atomic0", "192.0.2.10/24", "10.86.0.2/24")}`,
    about: "veths",
    expected: ["warning: another program made x0 (10.86.0.77) on"],
  },
  {
    name: "the route of an interface's own address is not reported twice",
    given: "ip link add lan type bridge; ip addr add 10.86.0.9/25 dev lan; ip link set dev lan up",
    about: "subnet",
    expected: ['warning: "lan" has 10.86.0.9/25'],
  },
  {
    name: "without a gateway, addresses and routes on the network's own bridge",
    config: NO_GATEWAY,
    given: `ip link add atomic0 type bridge; ip link set dev atomic0 up
      ip route add 10.86.0.128/25 dev atomic0; ip addr add 10.86.0.250/32 dev atomic0`,
    about: "subnet",
    expected: ["ok: nothing else uses 10.86.0.0/24"],
  },
  {
    name: "a route into the subnet by an interface with another address",
    given: `${container("x", "lan", "")} ip addr add 192.0.2.1/24 dev lan
      ip route add 10.86.0.128/25 via 192.0.2.2 dev lan`,
    about: "subnet",
    expected: ['warning: a route to 10.86.0.128/25 on "lan" overlaps'],
  },
  {
    name: "a route to a larger network by an interface with an address",
    given: `${container("x", "lan", "")} ip addr add 192.0.2.1/24 dev lan
      ip route add 10.0.0.0/8 via 192.0.2.2 dev lan`,
    about: "subnet",
    expected: ["ok: nothing else uses 10.86.0.0/24"],
  },
  {
    name: "a route on an interface without addresses, next to one with an address",
    given: `for it in lan vpn; do ip link add $it type bridge; ip link set dev $it up; done
      ip addr add 192.0.2.1/24 dev lan; ip route add 10.86.0.128/25 dev vpn`,
    about: "subnet",
    expected: ['warning: a route to 10.86.0.128/25 on "vpn" overlaps'],
  },
  {
    name: "routes that drop packets to a part of a subnet, to a larger network, and to the subnet",
    config: BOTH,
    given: `ip route add blackhole 10.86.0.0/26; ip route add prohibit 10.0.0.0/8
      ip route add blackhole 10.86.0.0/24 metric 20; ip route add unreachable fd00:88::/80
      ip route add blackhole fd00:88::/64 metric 20; ip route add blackhole fd00:88::/64 metric 300`,
    about: "subnet",
    expected: [
      "warning: a route that drops packets to 10.86.0.0/26 overlaps with 10.86.0.0/24",
      "warning: a route that drops packets to fd00:88::/80 overlaps with 10.86.0.0/24",
      "warning: a route that drops packets to fd00:88::/64 overlaps with 10.86.0.0/24",
    ],
  },
  {
    name: "an interface that overlaps with the second family alone",
    config: BOTH,
    given: "ip link add lan type bridge; ip addr add fd00:88::9/80 dev lan nodad",
    about: "subnet",
    expected: ['warning: "lan" has fd00:88::9/80'],
  },
  {
    name: "a network of the same name in another folder",
    given: `mkdir -m 700 ${STATE_FOLDER}/sub; cat > ${STATE_FOLDER}/sub/podnet.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.86.0.9"},"ipToContainer":{"10.86.0.9":"x"}}
E`,
    about: "subnet",
    expected: ['warning: network "podnet" holds 10.86.0.9'],
  },
  {
    name: "another network whose second range overlaps",
    config: BOTH,
    added: [["c1", { ...BOTH, ...OTHER, subnet: "10.87.0.0/24", gateway: "10.87.0.1" }]],
    given: "ip addr flush dev br9",
    about: "subnet",
    expected: ['warning: network "other" has fd00:88::/64', "warning:"],
  },
  {
    name: "another network, of which only a lease is known, in the second range",
    config: BOTH,
    given: `cat > ${STATE_FOLDER}/other.json <<'E'
{"lastReserved":"","containerToIP":{"x":"fd00:88::9"},"ipToContainer":{"fd00:88::9":"x"}}
E`,
    about: "subnet",
    expected: ['warning: network "other" holds fd00:88::9'],
  },
  {
    name: "forwarding is off for the second family alone",
    config: BOTH,
    given: "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
    about: "forwarding",
    expected: ["ok: IPv4: the kernel forwards", 'warning: IPv6: off for "atomic0"'],
  },
  {
    name: "forwarding is off for the network's own bridge alone",
    added: [["c1", CONFIG]],
    given: "echo 0 > /proc/sys/net/ipv4/conf/atomic0/forwarding",
    about: "forwarding",
    expected: ['warning: IPv4: off for "atomic0"'],
  },
  {
    name: "stale leases of a network that comes first by name",
    added: [["c1", { ...OTHER, name: "anet", subnet: "10.87.0.0/24", gateway: "10.87.0.1" }]],
    given: "ip link del dev $V",
    about: "leases",
    expected: [],
  },
  {
    name: "the pool of the network's own folder, next to a copy of its file",
    config: { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/sub` } },
    added: [["c1", { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/sub` } }]],
    given: `cat > ${STATE_FOLDER}/podnet.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.86.0.9","y":"10.86.0.8"},"ipToContainer":{"10.86.0.9":"x","10.86.0.8":"y"}}
E`,
    about: "pool",
    expected: ["ok: 10.86.0.1 - 10.86.0.254: 253 addresses, 1 held"],
  },
  {
    name: "a damaged file of another network",
    given: `printf x > ${STATE_FOLDER}/anet.json`,
    about: "state",
    expected: [],
  },
  {
    name: "a damaged copy of the network's file in another folder",
    given: `mkdir -m 700 ${STATE_FOLDER}/sub; printf x > ${STATE_FOLDER}/sub/podnet.json`,
    about: "state",
    expected: [],
  },
  {
    name: "a full pool of live containers has no stale address",
    config: SMALL,
    added: [["c1", SMALL]],
    given: ":",
    about: "pool",
    // The checks of ADD say so first.
    expected: [
      "error: ",
      "warning: 10.86.0.1 - 10.86.0.2: 1 addresses, 1 held, 0 of them stale, 0 free",
    ],
  },
  {
    name: "a pool whose only address is stale is not short, because an ADD reclaims it",
    config: SMALL,
    added: [["c1", SMALL]],
    given: "ip link del dev $V",
    about: "pool",
    expected: ["ok: 10.86.0.1 - 10.86.0.2: 1 addresses, 1 held, 1 of them stale, 0 free"],
  },
  {
    name: "a guarded port in another bridge is out of place, and the guard of this bridge is whole",
    config: GUARDED,
    added: [["c1", GUARDED]],
    given: "ip link add br9 type bridge; ip link set dev br9 up; ip link set dev $V master br9",
    about: "guard",
    expected: [],
  },
  {
    name: "a port in another bridge, where only the configuration names the network's own",
    config: NO_GATEWAY,
    added: [["c1", NO_GATEWAY]],
    given: "ip link add br9 type bridge; ip link set dev br9 up; ip link set dev $V master br9",
    about: "ports",
    expected: ["warning: 1 cut off"],
  },
  {
    name: "a port that learns, in another bridge; and one here that is not a veth",
    config: GUARDED,
    added: [["c1", GUARDED]],
    given: `ip link add br9 type bridge
${container("x", "x0", "br9")}
      ip tuntap add lan mode tap; ip link set dev lan master atomic0`,
    about: "guard",
    expected: [],
  },
  {
    name: "a veth here that learns",
    config: GUARDED,
    added: [["c1", GUARDED]],
    given: container("x", "x0", "atomic0"),
    about: "guard",
    expected: ['warning: 1 port of "atomic0" is not guarded (x0)'],
  },
  {
    name: "of two host veths without a lease only one is out of the bridge",
    config: GUARDED,
    added: [["c1", GUARDED], ["c2", GUARDED]],
    given: `ip link set dev $V nomaster; rm ${STATE_FOLDER}/podnet.json`,
    about: "guard",
    expected: ["warning: $V is in no bridge"],
  },
  {
    name: "a port whose ADD is in progress has no guard yet",
    config: GUARDED,
    added: [["c1", GUARDED]],
    given: "ip link set dev $V type bridge_slave locked off",
    isDuring: true,
    about: "guard",
    expected: [],
  },
  {
    name: "a guarded container of an earlier subnet reaches its own gateway",
    config: { ...GUARDED, subnet: "10.90.0.0/24", gateway: "10.90.0.1" },
    added: [["c1", GUARDED]],
    given: "",
    about: "guard",
    expected: [],
  },
  {
    name: "only the snooping of the network's own bridge matters",
    config: GUARDED,
    given: `ip link add br0 type bridge mcast_snooping 0
      ip link add atomic0 type bridge mcast_snooping 1`,
    about: "guard",
    expected: ['warning: "atomic0" does multicast snooping'],
  },
  {
    name: "a folder that the group can't write, and others can",
    given: `chmod 702 ${STATE_FOLDER}`,
    about: "folder",
    expected: [`warning: ${STATE_FOLDER}: owned by root, mode 0702, others can write to it`],
  },
];

for (
  const { name, config = CONFIG, added = [], given, isDuring, about, expected } of ROWS
) {
  hostTest(`doctor judges the right thing: ${name}`, async (host) => {
    await host.sh(
      "for it in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 > /proc/sys/net/$it; done",
    );
    await host.containers("c1", "c2");
    const veths: string[] = [];
    for (const [id, config] of added) {
      veths.push((await host.add({ id, config })).interfaces[1].name);
    }
    const [first = "none"] = veths;
    await host.sh(`V=${first}\n${given}`);
    const under = isDuring ? ["flock", `${STATE_FOLDER}/.podnet.${first}.add`] : [];
    const { json, stdout } = await host.program(
      ["doctor", "--json"],
      JSON.stringify(config),
      {},
      under,
    );
    const seen = json.findings.filter((it: Json) => it.about === about)
      .map(({ level, found }: Json) => `${level}: ${found}`);
    const wanted = expected.map((it) => it.replace("$V", first));
    const cut = seen.map((it: string, at: number) =>
      it.includes(wanted[at] ?? "\0") ? wanted[at] : it
    );
    assertEquals(cut, wanted, stdout);
  });
}

hostTest(
  "doctor takes its own plugin out of a list, and says where each key belongs",
  async (host) => {
    const { cniVersion: _, name: __, ...plugin } = CONFIG;
    const list = (...plugins: Json[]) => JSON.stringify({ cniVersion, name: NAME, plugins });
    const rows: [string, string][] = [
      [list({ type: "loopback", bridge: "lo" }, plugin), "10.86.0.0/24 on bridge"],
      [list({ type: "bridge" }, { ...plugin, type: "atomcni" }), 'did you mean "atomicni"?'],
      [list({ type: "flannel", delegate: plugin }), "/var/lib/cni/flannel/CONTAINER-ID"],
      [list(plugin).replace('"plugins"', '"pluginz":1,"plugins"'), 'did you mean "plugins"?'],
      [list(plugin).replace('"plugins"', '"mtu":1400,"plugins"'), "take it out"],
      [JSON.stringify({ ...CONFIG, ipam: { mtu: 1400 } }), "move it to the top level"],
    ];
    for (const [stdin, expected] of rows) {
      const { stdout } = await host.program(["doctor"], stdin);
      assertEquals(stdout.includes(expected), true, stdout);
    }
  },
);

for (
  const [what, commands] of [["one command", '*"addr show"*'], ["every command", "*"]] as const
) {
  hostTest(`doctor reports once that ip refuses ${what}`, async (host) => {
    await breakIp(host, `case "$*" in ${commands}) echo refused >&2; exit 2 ;; esac`);
    const { code, json, stdout } = await host.program(["doctor", "--json"], JSON.stringify(CONFIG));
    const errors = json.findings.filter((it: Json) => it.level === "error");
    assertEquals([code, errors.length, errors[0]?.code], [2, 1, 100], stdout);
  });
}
