import { assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { snapshot } from "../../integration/snapshot.ts";
import { hostLocal, type Lab, refused, type Row, row } from "../lab.ts";

/** A change after an ADD, in prevResult or on the host (HOST stands for the host veth), and the message of CHECK. */
const CHANGES: readonly {
  readonly rules?: string;
  readonly what: string;
  readonly result?: (it: Json) => void;
  readonly script?: string;
  readonly says: RegExp;
}[] = [
  {
    what: "another MAC of the bridge",
    result: (it) => it.interfaces[0].mac = "0a:00:00:00:00:01",
    says: /MAC of atomic0: expected 0a:00:00:00:00:01, found 0a:58:0a:56:00:01/,
  },
  {
    what: "another MAC of the host veth",
    result: (it) => it.interfaces[1].mac = "0a:00:00:00:00:01",
    says: /MAC of av\w+: expected 0a:00:00:00:00:01/,
  },
  {
    what: "another MAC of the container",
    result: (it) => it.interfaces[2].mac = "0a:00:00:00:00:01",
    says: /MAC of eth0: expected 0a:00:00:00:00:01, found 0a:58:0a:56:00:02/,
  },
  {
    what: "another host veth",
    result: (it) => it.interfaces[1].name = "av0123456789abc",
    says: /host veth: expected av0123456789abc/,
  },
  {
    what: "another sandbox",
    result: (it) => it.interfaces[2].sandbox = "/run/netns/c9",
    says: /sandbox of eth0: expected \/run\/netns\/c9/,
  },
  {
    what: "a foreign address",
    result: (it) => it.ips[0].address = "10.86.0.9/24",
    says:
      /address of eth0: expected 10\.86\.0\.9\/24, found 10\.86\.0\.2\/24.*lease in network podnet: expected 10\.86\.0\.9, found 10\.86\.0\.2/,
  },
  {
    what: "a missing route through the network's gateway",
    result: (it) => it.routes.push({ dst: "10.77.0.0/16", gw: "10.86.0.1" }),
    says: /route to 10\.77\.0\.0\/16: expected via 10\.86\.0\.1 on eth0, found none/,
  },
  {
    what: "another MTU listed",
    result: (it) => it.interfaces[2].mtu = 9000,
    says: /MTU of eth0: expected 9000, found 1500/,
  },
  {
    what: "the container's MAC set",
    script: "ip -n c1 link set dev eth0 address 0a:00:00:00:00:05",
    says: /MAC of eth0: expected 0a:58:0a:56:00:02, found 0a:00:00:00:00:05/,
  },
  {
    what: "the default route removed",
    script: "ip -n c1 route del default",
    says: /route to 0\.0\.0\.0\/0: expected via 10\.86\.0\.1 on eth0, found none/,
  },
  {
    what: "the default route through another gateway",
    script: "ip -n c1 route replace default via 10.86.0.9",
    says: /route to 0\.0\.0\.0\/0: expected via 10\.86\.0\.1 on eth0, found one via 10\.86\.0\.9/,
  },
  {
    what: "the interface down",
    script: "ip -n c1 link set dev eth0 down",
    says: /state of eth0: expected up, found down/,
  },
  {
    what: "the address removed",
    script: "ip -n c1 addr del 10.86.0.2/24 dev eth0",
    says: /address of eth0: expected 10\.86\.0\.2\/24, found none/,
  },
  {
    what: "another prefix length",
    script:
      "ip -n c1 addr flush dev eth0; ip -n c1 addr add 10.86.0.2/16 dev eth0; ip -n c1 route add default via 10.86.0.1",
    says: /address of eth0: expected 10\.86\.0\.2\/24, found 10\.86\.0\.2\/16/,
  },
  {
    what: "the interface gone",
    script: "ip -n c1 link del dev eth0",
    says:
      /host veth av\w+: expected a veth in atomic0, found none.*interface eth0: expected in \/run\/netns\/c1, found none/,
  },
  {
    rules: "K3",
    what: "the container's MTU set",
    script: "ip -n c1 link set dev eth0 mtu 1400",
    says: /MTU of eth0: expected 1500, found 1400/,
  },
  {
    rules: "K3",
    what: "the host veth out of the bridge",
    script: "ip link set dev HOST nomaster",
    says: /master of av\w+: expected atomic0, found none/,
  },
  {
    rules: "K3",
    what: "the host veth down",
    script: "ip link set dev HOST down",
    says: /state of av\w+: expected up, found down/,
  },
  {
    rules: "K3",
    what: "the gateway's address off the bridge",
    script: "ip addr flush dev atomic0",
    says: /address of atomic0: expected 10\.86\.0\.1\/24, found none/,
  },
  {
    rules: "K3",
    what: "the bridge down",
    script: "ip link set dev atomic0 down",
    says: /state of atomic0: expected up, found down/,
  },
  {
    rules: "K3",
    what: "the bridge gone",
    script: "ip link del dev atomic0",
    says: /bridge atomic0: expected a bridge, found none/,
  },
  {
    what: "the lease gone",
    script: `rm ${STATE_FOLDER}/podnet.json`,
    says: /lease in network podnet: expected 10\.86\.0\.2, found none/,
  },
];

export const CHECK: readonly Row[] = [
  row("K1 K5 P20", "CHECK after ADD is silent and changes nothing", async (lab) => {
    for (const cniVersion of ["0.4.0", "1.0.0", "1.1.0"]) {
      const config = { ...CONFIG, cniVersion };
      const prevResult = await lab.add({ config });
      const before = await snapshot(lab.host);
      await lab.silent("CHECK", { config: { ...config, prevResult } });
      assertEquals(await snapshot(lab.host), before);
      await lab.silent("DEL", { config });
    }
  }),
  row("K1 P20", "CHECK without prevResult", async (lab) => {
    await lab.add();
    await lab.refuse("CHECK", {}, 7, /"prevResult" is required/);
  }),
  row("K2 P20", "CHECK of another container ID", async (lab) => {
    const prevResult = await lab.add();
    await lab.refuse(
      "CHECK",
      { id: "c9", netns: "c1", config: { ...CONFIG, prevResult } },
      3,
      /"c9\/eth0"/,
    );
  }),
  ...CHANGES.map(({ rules = "K2", what, result, script, says }) =>
    row(`${rules} P20`, `CHECK: ${what}`, async (lab) => {
      const prevResult = await lab.add();
      if (script !== undefined) {
        await lab.host.sh(script.replace("HOST", prevResult.interfaces[1].name));
      }
      result?.(prevResult);
      await lab.refuse("CHECK", { config: { ...CONFIG, prevResult } }, 106, says);
    })
  ),
  row("K2", "all differences in one answer", async (lab) => {
    const prevResult = await lab.add();
    await lab.host.sh(
      "ip -n c1 link set dev eth0 mtu 1400; ip -n c1 route del default; ip addr flush dev atomic0",
    );
    const { msg } = await lab.refuse(
      "CHECK",
      { config: { ...CONFIG, prevResult } },
      106,
      /c1\/eth0/,
    );
    assertEquals(msg.split("; ").length, 3, msg);
  }),
  row("K2 R12", "additions of later plugins in a chain are tolerated", async (lab) => {
    const prevResult = await lab.add();
    await lab.host.sh(
      "ip -n c1 addr add 192.168.9.2/24 dev eth0; ip -n c1 addr add fd07::9/64 dev eth0 nodad; ip -n c1 route add 10.3.0.0/16 via 10.86.0.1; ip -n c1 link add extra0 type bridge",
    );
    prevResult.interfaces.push({ name: "extra0", sandbox: "/run/netns/c1" }, { name: "veth9" });
    prevResult.ips.push(
      { address: "192.168.9.2/24", interface: 2 },
      {
        address: "172.16.0.2/24",
        interface: 3,
      },
      { address: "fd07:0::9/64", interface: 2 },
      { address: "fd08::9/64", interface: 3 },
    );
    prevResult.routes.push({ dst: "172.16.0.0/12", gw: "172.16.0.1" }, {
      dst: "::/0",
      gw: "fd08::1",
    });
    await lab.silent("CHECK", { config: { ...CONFIG, prevResult } });
    await lab.host.sh("ip -n c1 addr del fd07::9/64 dev eth0");
    await lab.refuse(
      "CHECK",
      { config: { ...CONFIG, prevResult } },
      106,
      /address of eth0: expected fd07:0::9\/64, found 10\.86\.0\.2\/24, 192\.168\.9\.2\/24/,
    );
  }),
  row(
    "K2",
    "CHECK compares the entries of prevResult, even if the configuration has changed",
    async (lab) => {
      const prevResult = await lab.add();
      const routes = [{ dst: "0.0.0.0/0" }, { dst: "10.3.0.0/16" }];
      const dual = { subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
      for (const change of [{ ipam: { routes } }, dual, { ...dual, ipam: { routes } }]) {
        await lab.silent("CHECK", { config: { ...CONFIG, ...change, prevResult } });
      }
      // A later plugin removes the default route, and `tuning` changes the MTU.
      await lab.host.sh("ip -n c1 route del default; ip -n c1 link set dev eth0 mtu 1400");
      const inside = { ...prevResult.interfaces[2], mtu: 1400 };
      const interfaces = [...prevResult.interfaces.slice(0, 2), inside];
      const changed = { ...prevResult, routes: [], interfaces };
      await lab.silent("CHECK", { config: { ...CONFIG, prevResult: changed } });
      const older = interfaces.map(({ mtu: _, ...it }: Json) => it);
      const config = { ...CONFIG, cniVersion: "1.0.0" };
      const prior = { ...changed, cniVersion: "1.0.0", interfaces: older };
      await lab.silent("CHECK", { config: { ...config, prevResult: prior } });
      // An entry of it is compared, for example a gateway that is gone from the bridge.
      await lab.host.sh("ip addr flush dev atomic0");
      await lab.refuse(
        "CHECK",
        { config: { ...CONFIG, ...dual, prevResult: changed } },
        106,
        /address of atomic0: expected 10\.86\.0\.1\/24, found none;/,
      );
    },
  ),
  row("K3 B8 B9 B16 I5", "CHECK: hairpin mode, isolation, promiscuous mode", async (lab) => {
    const of = async (config: Json, script: string, says: RegExp) => {
      const prevResult = await lab.add({ config });
      await lab.silent("CHECK", { config: { ...config, prevResult } });
      await lab.host.sh(script.replace("HOST", prevResult.interfaces[1].name));
      await lab.refuse("CHECK", { config: { ...config, prevResult } }, 106, says);
      await lab.silent("DEL", { config });
    };
    await of(
      hostLocal({ hairpinMode: true }),
      "ip link set dev HOST type bridge_slave hairpin off",
      /hairpin mode of av\w+: expected true, found false/,
    );
    await of(
      hostLocal({ portIsolation: true }),
      "ip link set dev HOST type bridge_slave isolated off",
      /isolation of av\w+: expected true, found false/,
    );
    await of(
      hostLocal({ promiscMode: true }),
      "ip link set dev cni0 promisc off",
      /promiscuous mode of cni0: expected true, found false/,
    );
  }),
  row("K2 B19", "CHECK: a requested MAC", async (lab) => {
    const config = { ...CONFIG, runtimeConfig: { mac: "0a:00:00:00:00:07" } };
    const prevResult = await lab.add({ config });
    await lab.silent("CHECK", { config: { ...config, prevResult } });
    await lab.host.sh("ip -n c1 link set dev eth0 address 0a:00:00:00:00:08");
    await lab.refuse(
      "CHECK",
      { config: { ...config, prevResult } },
      106,
      /expected 0a:00:00:00:00:07, found 0a:00:00:00:00:08/,
    );
  }),
  row("K2", "CHECK: a route with table, priority and scope", async (lab) => {
    const config = hostLocal({}, {
      routes: [
        { dst: "10.1.0.0/16", table: 100, priority: 5 },
        { dst: "10.2.0.0/16", scope: 253 },
        { dst: "10.3.0.0/16", mtu: 1300, advmss: 1200 },
      ],
    });
    const prevResult = await lab.add({ config });
    await lab.silent("CHECK", { config: { ...config, prevResult } });
    await lab.host.sh("ip -n c1 route del 10.1.0.0/16 table 100");
    await lab.refuse(
      "CHECK",
      { config: { ...config, prevResult } },
      106,
      /route to 10\.1\.0\.0\/16/,
    );
  }),
  refused(
    "K1",
    "CHECK in a namespace of another attachment",
    "CHECK",
    {
      config: { ...CONFIG, prevResult: { cniVersion: "1.1.0" } },
    },
    3,
    /knows no such attachment/,
  ),
  row("X7 K2", "the message names the remedy", async (lab: Lab) => {
    const prevResult = await lab.add();
    await lab.host.sh("ip -n c1 route del default");
    const { json } = await lab.cni("CHECK", { config: { ...CONFIG, prevResult } });
    assertMatch(json.details, /remove the container and start it again/);
  }),
];
