import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { type Lab, refused, type Row, row } from "../lab.ts";
import { until } from "../../until.ts";

const OTHER = {
  ...CONFIG,
  name: "othernet",
  bridge: "atomic1",
  subnet: "10.87.0.0/24",
  gateway: "10.87.0.1",
};
/** A second network of one container, without a second default route. */
const SECOND = { ...OTHER, ipam: { routes: [] } };

const ADD: readonly Row[] = [
  row("A1 I1", "a container that has lo and eth0 already: neither is touched", async (lab) => {
    await lab.container("c1");
    await lab.host.sh("ip -n c1 link add eth0 type bridge");
    await lab.refuse(
      "ADD",
      {},
      103,
      /"eth0" in "\/run\/netns\/c1": an interface of that name exists/,
    );
    await lab.refuse("ADD", { ifname: "lo" }, 103, /"lo"/);
    assertEquals(await lab.host.links(), []);
  }),
  row("A2 P14 H14", "ADD twice: the second is refused, the first stays", async (lab) => {
    const { interfaces } = await lab.add();
    const { ifindex } = await lab.inside();
    await lab.refuse(
      "ADD",
      {},
      103,
      new RegExp(
        `host veth "${
          interfaces[1].name
        }": it exists and belongs to "podnet/c1/eth0".*interface ${ifindex} .*DEL it first`,
      ),
    );
    assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2" });
    assert(await lab.host.pings("c1", "10.86.0.1"));
  }),
  row("A2 P15", "two interfaces of one container; DEL of one leaves the other", async (lab) => {
    const config = { ...CONFIG, ipam: { routes: [] } };
    await lab.add({ config });
    await lab.add({ config, ifname: "eth1" });
    assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2", "c1/eth1": "10.86.0.3" });
    await lab.silent("DEL", { config });
    assertEquals(await lab.host.leases(), { "c1/eth1": "10.86.0.3" });
    assertEquals(await lab.host.addresses("c1", "eth1"), ["10.86.0.3/24"]);
  }),
  row("A2", "two networks of one container", async (lab) => {
    await lab.add();
    await lab.add({ config: SECOND, ifname: "eth1" });
    await lab.silent("DEL");
    assertEquals(await lab.host.leases("othernet"), { "c1/eth1": "10.87.0.2" });
    assertEquals(await lab.host.addresses("c1", "eth1"), ["10.87.0.2/24"]);
  }),
  row("A3 Q3", "a route that can't be set: veth and address are rolled back", async (lab) => {
    const dual = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
    await lab.add({ id: "c2", config: dual }); // the bridge exists
    // The kernel accepts no gateway that is the container's own address.
    const config = { ...dual, ipam: { routes: [{ dst: "fd01::/16", gw: "fd00:88::3" }] } };
    await lab.refuse("ADD", { config }, 100, /ip failed with exit status/);
    assertEquals(await lab.host.leases(), { "c2/eth0": ["10.86.0.2", "fd00:88::2"] });
    assertEquals((await lab.add({ config: dual })).ips[0].address, "10.86.0.3/24");
  }),
  row("A3", "no free address: no veth is left", async (lab) => {
    const config = { ...CONFIG, subnet: "10.86.0.0/30" };
    await lab.add({ id: "c2", config });
    await lab.refuse("ADD", { config }, 101, /all are held/);
  }),
  ...[["/run/netns/gone", "a path that is missing"], ["/etc/passwd", "a file"], [
    "/run",
    "a folder",
  ], ["/dev/null", "a device"]].map(([netns = "", what]) =>
    refused(
      "A4 P17",
      `a namespace that is ${what}: not even the bridge is created`,
      "ADD",
      { netns },
      8,
      new RegExp(`CNI_NETNS "${netns}"`),
    )
  ),
  refused(
    "A4",
    "a namespace that is not an absolute path",
    "ADD",
    { env: { CNI_NETNS: "c1" } },
    8,
    /not an absolute path/,
  ),
  refused(
    "A4",
    "CHECK in a path that is not a namespace",
    "CHECK",
    {
      netns: "/etc/passwd",
      config: { ...CONFIG, prevResult: { cniVersion: "1.1.0" } },
    },
    8,
    /CNI_NETNS/,
  ),
  row("A5", "eight concurrent ADDs on an empty host", async (lab) => {
    const ids = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
    for (const id of ids) await lab.container(id);
    const results = await Promise.all(ids.map((id) => lab.add({ id })));
    const addresses = new Set(results.map((it) => it.ips[0].address));
    lab.documents.length = 0; // the order of the eight may vary
    assertEquals(addresses.size, 8);
    assertEquals(Object.keys(await lab.host.leases()).length, 8);
  }),
  row("A6 D1 Q4", "DEL finds the veth and lease of a killed ADD", async (lab) => {
    const [veth = ""] = await killedAdd(lab);
    assert(veth.startsWith("av"));
    await lab.silent("DEL");
    await lab.host.assertNothingLeft();
  }),
  row("A6 G1 G2", "GC finds the veth of a killed ADD", async (lab) => {
    await killedAdd(lab);
    await lab.silent("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": [] } });
    await lab.host.assertNothingLeft();
  }),
  row("A6 A1", "after a killed ADD: 103 names its veth, then DEL, then ADD", async (lab) => {
    const [veth = ""] = await killedAdd(lab);
    await lab.refuse(
      "ADD",
      {},
      103,
      new RegExp(`host veth "${veth}".*belongs to "podnet/c1/eth0".*DEL it first`),
    );
    await lab.silent("DEL");
    assertEquals([await lab.host.hostVeths(), await lab.host.leases()], [[], {}]);
    await lab.add();
    assert(await lab.host.pings("c1", "10.86.0.1"));
  }),
  row("A1 A6", "a host veth whose namespace has no name is not replaced either", async (lab) => {
    const { interfaces } = await lab.add();
    await lab.container("c2");
    await lab.refuse("ADD", { netns: "c2" }, 103, new RegExp(`"${interfaces[1].name}"`));
    assertEquals(await lab.host.addresses("c1", "eth0"), ["10.86.0.2/24"]);
  }),
];

/** Leaves the state of an ADD that was killed after it created the veth and the lease; returns the host veths. */
async function killedAdd(lab: Lab): Promise<string[]> {
  await lab.add();
  await lab.host.sh("ip -n c1 link set dev eth0 down && ip -n c1 addr flush dev eth0");
  // A deleted namespace would take the veth's end with it. So the end is renamed, as if the ADD had not finished.
  await lab.host.sh("ip -n c1 link set dev eth0 name tmp0");
  return await lab.host.hostVeths();
}

const DEL: readonly Row[] = [
  row("D1 P16", "DEL of an unknown container, and twice", async (lab) => {
    await lab.silent("DEL");
    await lab.add();
    await lab.silent("DEL");
    await lab.silent("DEL");
    await lab.silent("DEL", { netns: "" });
    await lab.host.assertNothingLeft();
  }),
  row("D1 E12 P16", "DEL with an empty CNI_NETNS frees both", async (lab) => {
    await lab.add();
    await lab.silent("DEL", { netns: "" });
    assertEquals([await lab.host.hostVeths(), await lab.inside()], [[], undefined]);
    await lab.host.assertNothingLeft();
  }),
  row("D2 E12 P16", "DEL after the namespace is gone", async (lab) => {
    await lab.add();
    await lab.host.sh("ip netns del c1");
    await lab.silent("DEL", { netns: "/run/netns/c1" });
    await lab.host.assertNothingLeft();
  }),
  row("D2 E12", "DEL with a path that is not a namespace", async (lab) => {
    await lab.add();
    await lab.silent("DEL", { netns: "/etc/passwd" });
    await lab.host.assertNothingLeft();
  }),
  row("D2", "DEL with only the lease left, and with only the link left", async (lab) => {
    await lab.add();
    await lab.host.sh("ip -n c1 link del dev eth0");
    await lab.silent("DEL");
    await lab.add();
    await lab.host.sh(`rm ${STATE_FOLDER}/podnet.json`);
    await lab.silent("DEL");
    await lab.host.assertNothingLeft();
  }),
  row(
    "D3 S5 P16",
    "DEL without prevResult, and with one of another family or an invalid one",
    async (lab) => {
      for (
        const prevResult of [undefined, { cniVersion: "0.1.0", ip4: {} }, "x", { interfaces: 5 }]
      ) {
        await lab.add();
        await lab.silent("DEL", { config: { ...CONFIG, prevResult } });
        await lab.host.assertNothingLeft();
      }
    },
  ),
  row("D3", "DEL leaves another container's interface with the same name", async (lab) => {
    await lab.add();
    await lab.add({ id: "c2" });
    await lab.silent("DEL", { id: "c1", netns: "c2" });
    assertEquals(await lab.host.leases(), { "c2/eth0": "10.86.0.3" });
    assert(await lab.host.pings("c2", "10.86.0.1"));
  }),
  row("D4", "DEL with a configuration that an ADD would refuse", async (lab) => {
    const bad = [
      { subnet: "x", gateway: 5, mtu: "a" },
      { ipam: { type: "dhcp" } },
      { ipam: { type: "host-local" } },
      { ipMasq: true, vlan: 5 },
      { bridge: undefined, subnet: undefined },
      { ipam: { dataDir: "/tmp" }, bridge: "a/b" },
    ];
    for (const change of bad) {
      await lab.add();
      await lab.silent("DEL", { config: { ...CONFIG, ...change } });
      await lab.host.assertNothingLeft();
    }
  }),
  row(
    "D5 Q3",
    "a damaged state and a live container: the link is removed, then the error is reported",
    async (lab) => {
      const { interfaces } = await lab.add();
      const { interfaces: others } = await lab.add({ id: "c2" });
      await lab.host.sh(`: >${STATE_FOLDER}/podnet.json`);
      lab.mustBeError(
        await lab.cni("DEL"),
        104,
        new RegExp(`podnet\\.json.*host veth ${interfaces[1].name} is gone`),
      );
      assertEquals(await lab.host.hostVeths(), [others[1].name]);
      assert(await lab.host.pings("c2", "10.86.0.1"));
    },
  ),
  row(
    "D5 D1",
    "a damaged state and no other host veth: nobody can hold an address, DEL succeeds",
    async (lab) => {
      await lab.add();
      await lab.host.sh(`: >${STATE_FOLDER}/podnet.json`);
      await lab.silent("DEL");
      assertEquals(await lab.host.hostVeths(), []);
      await lab.silent("DEL");
    },
  ),
  row("D5 Q3 Q4", "an address is free only when the link is gone", async (lab) => {
    await lab.add();
    // The link can't be removed, as after a removal that failed: the address stays held.
    const answer = await lab.withIp("#!/bin/sh\nexit 1\n", "DEL");
    lab.mustBeError(answer, 100, /exit status 1/);
    assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2" });
    await lab.silent("DEL");
    await lab.host.assertNothingLeft();
  }),
];

const valid = (...attachments: Json[]) => ({ "cni.dev/valid-attachments": attachments });

const GC: readonly Row[] = [
  row("G1 G2 P25", "one of two is valid; another network is left alone", async (lab) => {
    await lab.add();
    await lab.add({ id: "c2" });
    await lab.add({ id: "c3", config: OTHER });
    await lab.silent("GC", {
      config: { ...CONFIG, ...valid({ containerID: "c2", ifname: "eth0" }) },
    });
    assertEquals(await lab.host.leases(), { "c2/eth0": "10.86.0.3" });
    assertEquals(await lab.host.leases("othernet"), { "c3/eth0": "10.87.0.2" });
    assertEquals((await lab.host.hostVeths()).length, 2);
    assertEquals([await lab.inside("c1"), (await lab.inside("c2")).ifname], [undefined, "eth0"]);
  }),
  row("G1", "the other interface of a valid container goes", async (lab) => {
    await lab.add();
    await lab.add({ ifname: "eth1", config: { ...CONFIG, ipam: { routes: [] } } });
    await lab.silent("GC", {
      config: { ...CONFIG, ...valid({ containerID: "c1", ifname: "eth0" }) },
    });
    assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2" });
  }),
  ...[null, []].map((list) =>
    row("G1 P25", `a list of ${JSON.stringify(list)} keeps nothing`, async (lab) => {
      await lab.add();
      await lab.silent("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": list } });
      await lab.host.assertNothingLeft();
    })
  ),
  row("G1", "the older name of the list, and which of the two counts", async (lab) => {
    await lab.add();
    await lab.add({ id: "c2" });
    const attachments = [{ containerID: "c1", ifname: "eth0" }, {
      containerID: "c2",
      ifname: "eth0",
    }];
    await lab.silent("GC", { config: { ...CONFIG, "cni.dev/attachments": attachments } });
    assertEquals(Object.keys(await lab.host.leases()), ["c1/eth0", "c2/eth0"]);
    await lab.silent("GC", {
      config: { ...CONFIG, ...valid(attachments[1]), "cni.dev/attachments": attachments },
    });
    assertEquals(Object.keys(await lab.host.leases()), ["c2/eth0"]);
  }),
  refused(
    "G1 S2",
    "an invalid list",
    "GC",
    { config: { ...CONFIG, "cni.dev/valid-attachments": { a: 1 } } },
    7,
    /cni\.dev\/valid-attachments/,
  ),
  refused(
    "G1 S2",
    "an invalid attachment in the list",
    "GC",
    { config: { ...CONFIG, "cni.dev/valid-attachments": [5] } },
    7,
    /valid-attachments\[0\] 5/,
  ),
  row("G3", "any interface of the container keeps a lease that names only its ID", async (lab) => {
    await lab.host.sh(`cat >${STATE_FOLDER}/podnet.json <<'END'
{"containerToIP":{"c1":"10.86.0.7","c2":"10.86.0.8"},"ipToContainer":{"10.86.0.7":"c1","10.86.0.8":"c2"},"lastReserved":"10.86.0.8"}
END`);
    await lab.silent("GC", {
      config: { ...CONFIG, ...valid({ containerID: "c1", ifname: "eth3" }) },
    });
    assertEquals(await lab.host.leases(), { c1: "10.86.0.7" });
  }),
  row("G3", "GC waits for the lock, and a concurrent DEL does no harm", async (lab) => {
    await lab.add();
    const config = { ...CONFIG, ...valid() };
    const results = await Promise.all([
      lab.cni("GC", { config }),
      lab.cni("DEL"),
      lab.cni("GC", { config }),
    ]);
    assertEquals(results.map(({ code }) => code), [0, 0, 0]);
    await lab.host.assertNothingLeft();
  }),
  row("G1", "GC continues after a veth that can't be removed", async (lab) => {
    await lab.add();
    await lab.add({ id: "c2" });
    const { interfaces } = await lab.add({ id: "c3" });
    const script = `#!/bin/sh
case "$*" in "link del dev if${(await lab.link(interfaces[1].name)).ifindex}" | "link del dev ${
      interfaces[1].name
    }") exit 1 ;; esac
exec /run/bin/real "$@"
`;
    const answer = await lab.withIp(script, "GC", { config: { ...CONFIG, ...valid() } });
    lab.mustBeError(answer, 100, new RegExp(interfaces[1].name));
    assertEquals(await lab.host.leases(), { "c3/eth0": "10.86.0.4" });
    assertEquals(await lab.host.hostVeths(), [interfaces[1].name]);
  }),
];

const STATUS: readonly Row[] = [
  row("T1 T2 P26", "a healthy host, before and after an ADD", async (lab) => {
    await lab.silent("STATUS");
    assertEquals([await lab.host.links(), await lab.host.files()], [[], []]);
    await lab.add();
    await lab.silent("STATUS");
  }),
  row("T1 T2 P23", "a full pool is 50; stale leases count as free, and stay", async (lab) => {
    const config = { ...CONFIG, subnet: "10.86.0.0/30" };
    const { interfaces } = await lab.add({ config });
    await lab.refuse("STATUS", { config }, 50, /^Cannot serve an ADD: .*all are held/);
    await lab.host.sh(`ip link del dev ${interfaces[1].name}`);
    await lab.silent("STATUS", { config });
    assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2" });
  }),
  row("T1", "another address on the bridge is 50", async (lab) => {
    await lab.host.sh("ip link add atomic0 type bridge && ip addr add 10.1.1.1/24 dev atomic0");
    await lab.refuse("STATUS", {}, 50, /10\.1\.1\.1\/24/);
  }),
  row("T1", "no ip is 50", async (lab) => {
    const answer = await lab.withIp("", "STATUS");
    lab.mustBeError(answer, 50, /Cannot run ".*ip"/);
  }),
  row("T1", "a folder that can't be written is 50", async (lab) => {
    await lab.add();
    await lab.host.sh(`mount -o remount,ro ${STATE_FOLDER}`);
    const answer = await lab.cni("STATUS");
    await lab.host.sh(`mount -o remount,rw ${STATE_FOLDER}`);
    lab.mustBeError(answer, 50, /Read-only file system/);
  }),
  row("T1", "a damaged state is 50", async (lab) => {
    await lab.add();
    await lab.host.sh(`echo '{' >${STATE_FOLDER}/podnet.json`);
    await lab.refuse("STATUS", {}, 50, /podnet\.json.*repair/);
  }),
  row("T2", "DEL and ADD work after STATUS reported an error", async (lab) => {
    const config = { ...CONFIG, subnet: "10.86.0.0/30" };
    await lab.add({ config });
    await lab.refuse("STATUS", { config }, 50, /all are held/);
    await lab.silent("DEL", { config });
    await until(
      "a sign of the stopped or killed run",
      async () => (await lab.host.hostVeths()).length === 0,
    );
    await lab.add({ config, id: "c2" });
  }),
];

export const COMMANDS: readonly Row[] = [...ADD, ...DEL, ...GC, ...STATUS];
