import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Containerd, PAGE } from "./containerd.ts";
import { nodeTest } from "./node.ts";
import { assertNothingLeft, configure, NETWORK } from "./conflist.ts";
import { latest } from "../until.ts";

nodeTest("ctr run --cni: a page is fetched from a container and from the host", async (node) => {
  await configure(node);
  const containerd = await Containerd.start(node);
  await containerd.run("web", "httpd", "-f", "-h", "/www");
  await containerd.run("client", "sleep", "3600");
  const address = await containerd.address("web");

  assertEquals(address, "10.86.0.2");
  assertEquals(await containerd.address("client"), "10.86.0.3");
  assertEquals(await node.leases(NETWORK), {
    "default-web/eth0": "10.86.0.2",
    "default-client/eth0": "10.86.0.3",
  });
  assertEquals(await node.fetch(`http://${address}/`), PAGE, "from the host");
  const page = () => containerd.exec("client", "wget", "-qO-", `http://${address}/`);
  assertEquals(await latest(page, (it) => it === PAGE, 10), PAGE, "from another container");
  const aliases = (await node.hostVeths()).map(({ ifalias }) => ifalias).sort();
  assertEquals(aliases, ["podnet/default-client/eth0", "podnet/default-web/eth0"]);

  await containerd.remove("web");
  assertEquals(await node.leases(NETWORK), { "default-client/eth0": "10.86.0.3" });
  await containerd.remove("client");
  await assertNothingLeft(node);
});

nodeTest(
  "ctr run --cni: an ADD that is refused fails the container and leaves nothing",
  async (node) => {
    await configure(node);
    const containerd = await Containerd.start(node);
    await node.sh("ip link add name atomic0 type veth peer name other");
    const { code, stderr } = await node.run(
      ["sh", "-c", "ctr run --detach --cni localhost/busybox:1 web"],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, 'Cannot use "atomic0" as the bridge: it is a veth');
    await node.run(["sh", "-c", "ctr task rm --force web; ctr container rm web"]);
    await assertNothingLeft(node);
    await node.sh("ip link del dev atomic0");
    await containerd.run("web2");
    assertMatch(await containerd.address("web2"), /^10\.86\.0\.\d+$/);
    await containerd.remove("web2");
    await assertNothingLeft(node);
  },
);
