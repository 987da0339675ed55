import { assert, assertEquals } from "@std/assert";
import { Containerd, PAGE } from "./containerd.ts";
import { Cri } from "./cri.ts";
import { type Node, nodeTest } from "./node.ts";
import { ATOMICNI, NETWORK } from "./conflist.ts";

const PODNET = { cniVersion: "1.0.0", name: NETWORK, ...ATOMICNI };
/**
 * A second network of a pod. It has only the subnet's route, so the default route stays that of the first network.
 */
const STORAGE = {
  cniVersion: "1.0.0",
  name: "storage",
  type: "atomicni",
  bridge: "storage0",
  subnet: "10.99.0.0/24",
  gateway: "10.99.0.1",
  ipam: { routes: [] },
};
/** The arguments of Multus for a delegate's DEL and ADD. */
const ARGS =
  "IgnoreUnknown=true;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=web;K8S_POD_UID=1";
const NET1 = { ifname: "net1", args: ARGS };
const ETH0 = { ifname: "eth0", args: ARGS };

/** Names and IPv4 addresses of a container's interfaces. */
async function interfaces(node: Node, id: string): Promise<Record<string, string>> {
  const links = await node.ip("-n", id, "-4", "addr", "show");
  return Object.fromEntries(
    links.filter(({ ifname }) => ifname !== "lo").map(({ ifname, addr_info: [address] }) => [
      ifname,
      `${address.local}/${address.prefixlen}`,
    ]),
  );
}

async function defaultRoutes(node: Node, id: string): Promise<string[]> {
  const routes = await node.ip("-n", id, "route", "show", "default");
  return routes.map(({ gateway, dev }) => `${gateway} ${dev}`);
}

nodeTest(
  "a second interface by Multus: the default route stays, and each DEL leaves the other interface",
  async (node) => {
    await node.containers("web", "other");
    await node.add(PODNET, "web", ETH0);
    const result = await node.add(STORAGE, "web", NET1);
    await node.add(STORAGE, "other", NET1);

    assertEquals(result.routes ?? [], []);
    assertEquals(await interfaces(node, "web"), { eth0: "10.86.0.2/24", net1: "10.99.0.2/24" });
    assertEquals(await defaultRoutes(node, "web"), ["10.86.0.1 eth0"]);
    assert(await node.pings("web", "10.99.0.3"), "over the second network");
    assert(await node.pings("web", "10.86.0.1"), "over the first network");
    const aliases = (await node.hostVeths()).map(({ ifalias }) => ifalias).sort();
    assertEquals(aliases, [
      "shop/web podnet/web/eth0",
      "shop/web storage/other/net1",
      "shop/web storage/web/net1",
    ]);

    await node.del(STORAGE, "web", NET1);
    assertEquals(await interfaces(node, "web"), { eth0: "10.86.0.2/24" });
    assertEquals(await node.leases("storage"), { "other/net1": "10.99.0.3" });
    assert(await node.pings("web", "10.86.0.1"), "the first network after the second's DEL");
    await node.add(STORAGE, "web", NET1);
    await node.del(PODNET, "web", ETH0);
    assertEquals(await interfaces(node, "web"), { net1: "10.99.0.4/24" });
    assertEquals(await node.leases(NETWORK), {});
    assert(await node.pings("web", "10.99.0.3"), "the second network after the first's DEL");
    await node.del(STORAGE, "web", NET1);
    await node.del(STORAGE, "other", NET1);
    assertEquals(await node.hostVeths(), []);
  },
);

nodeTest(
  "a second interface by Multus: the same network twice has two addresses; each DEL removes one",
  async (node) => {
    await node.containers("web", "other");
    await node.add(PODNET, "web", ETH0);
    const again = { ...PODNET, ipam: { routes: [] } };
    await node.add(again, "web", NET1);
    await node.add(PODNET, "other", ETH0);

    assertEquals(await interfaces(node, "web"), { eth0: "10.86.0.2/24", net1: "10.86.0.3/24" });
    assertEquals(await node.leases(NETWORK), {
      "web/eth0": "10.86.0.2",
      "web/net1": "10.86.0.3",
      "other/eth0": "10.86.0.4",
    });
    assertEquals(await defaultRoutes(node, "web"), ["10.86.0.1 eth0"]);
    assert(await node.pings("other", "10.86.0.2") && await node.pings("other", "10.86.0.3"));

    await node.del(PODNET, "web", ETH0);
    assertEquals(await interfaces(node, "web"), { net1: "10.86.0.3/24" });
    assert(await node.pings("other", "10.86.0.3"), "the second interface after the first's DEL");
    await node.del(again, "web", NET1);
    await node.del(PODNET, "other", ETH0);
    assertEquals(await node.leases(NETWORK), {});
    assertEquals(await node.hostVeths(), []);
  },
);

nodeTest(
  "a second interface by Multus: two default routes conflict; the second ADD fails and rolls back, the first stays",
  async (node) => {
    await node.containers("web");
    await node.add(PODNET, "web", ETH0);
    const { code, stdout } = await node.cni("ADD", { ...STORAGE, ipam: {} }, "web", NET1);
    assertEquals(code, 1, stdout);
    assertEquals(
      JSON.parse(stdout).msg,
      'Cannot add a route to "0.0.0.0/0" for "net1": one via 10.86.0.1 dev eth0 is there already',
    );
    assertEquals(await interfaces(node, "web"), { eth0: "10.86.0.2/24" });
    assertEquals(await node.leases("storage"), {});
    assertEquals((await node.hostVeths()).length, 1);
    assertEquals(await defaultRoutes(node, "web"), ["10.86.0.1 eth0"]);
  },
);

nodeTest(
  "containerd through CRI with two networks: each pod is on both, and off both",
  async (node) => {
    for (
      const [place, { name, cniVersion, ...plugin }] of [["10", PODNET], ["20", STORAGE]] as const
    ) {
      await node.write(
        `/etc/cni/net.d/${place}-${name}.conflist`,
        JSON.stringify({ cniVersion, name, plugins: [plugin] }),
      );
    }
    await Containerd.start(node, 2);
    using cri = await Cri.connect(node);
    const ids: string[] = [];
    for (const name of ["web", "client"]) ids.push(await cri.runPod({ name }));
    const [web = "", client = ""] = ids;
    await cri.runContainer(web, { name: "web" }, "httpd", "-f", "-h", "/www");
    const container = await cri.runContainer(client, { name: "client" }, "sleep", "3600");

    assertEquals(await node.leases(NETWORK), {
      [`${web}/eth0`]: "10.86.0.2",
      [`${client}/eth0`]: "10.86.0.3",
    });
    assertEquals(await node.leases("storage"), {
      [`${web}/eth1`]: "10.99.0.2",
      [`${client}/eth1`]: "10.99.0.3",
    });
    for (const address of ["10.86.0.2", "10.99.0.2"]) {
      assertEquals(await node.fetch(`http://${address}/`), PAGE);
      assertEquals(await cri.exec(container, "wget", "-qO-", `http://${address}/`), PAGE);
    }
    for (const id of ids) await cri.removePod(id);
    assertEquals([await node.leases(NETWORK), await node.leases("storage")], [{}, {}]);
    assertEquals(await node.hostVeths(), []);
  },
);

nodeTest(
  "docs/configure.md: a fixed address that Multus passes on from the page's annotation",
  async (node) => {
    const page = await Deno.readTextFile(new URL("../../docs/configure.md", import.meta.url));
    const annotation = /k8s\.v1\.cni\.cncf\.io\/networks: '(.*)'/.exec(page)?.[1] ?? "[]";
    const [{ name, ips }] = JSON.parse(annotation);
    assertEquals(name, NETWORK);
    const config = { ...PODNET, capabilities: { ips: true }, runtimeConfig: { ips } };
    await node.containers("web", "other");
    await node.add(config, "web", NET1);
    assertEquals(await interfaces(node, "web"), { net1: ips[0] });
    const held = await node.cni("ADD", config, "other", NET1);
    assertEquals(JSON.parse(held.stdout).code, 102);
    const byArgs = { ...NET1, args: "IgnoreUnknown=1;IP=10.86.0.51" };
    assertEquals((await node.add(PODNET, "other", byArgs)).ips[0].address, "10.86.0.51/24");
  },
);
