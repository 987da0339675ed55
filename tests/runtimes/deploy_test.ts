import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../integration/host.ts";
import { Containerd, PAGE } from "./containerd.ts";
import { DEPLOY, nodeTest } from "./node.ts";
import { assertNothingLeft } from "./conflist.ts";

/** One router advertisement (type 134, lifetime 1800 s) out of `router`, to all nodes. */
const ADVERTISE = `python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"router")
s.bind(("fe80::1", 0, 0, socket.if_nametoindex("router")))
s.sendto(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), ("ff02::1", 0, 0, socket.if_nametoindex("router")))
'`;

const CONFLISTS = [...Deno.readDirSync(DEPLOY)].map(({ name }) => name).filter((name) =>
  name.endsWith(".conflist")
).sort();

Deno.test("deploy/: there is a conflist for each runtime and for the usual chain", () => {
  assertEquals(CONFLISTS, [
    "10-atomicni-chain.conflist",
    "10-atomicni.conflist",
    "10-crio-atomicni.conflist",
  ]);
});

for (const name of CONFLISTS) {
  nodeTest(`deploy/${name}: runs a container`, async (node) => {
    await node.write(`/etc/cni/net.d/${name}`, await Deno.readTextFile(`${DEPLOY}/${name}`));
    const containerd = await Containerd.start(node);
    await containerd.run("web", "httpd", "-f", "-h", "/www");
    assertEquals(await node.fetch(`http://${await containerd.address("web")}/`), PAGE);
    await containerd.remove("web");
    await assertNothingLeft(node);
  });
}

nodeTest(
  "deploy/atomicni.nft: nft accepts it twice, and lists its three tables once",
  async (node) => {
    const file = `${DEPLOY}/atomicni.nft`;
    await node.sh(`nft -c -f ${file} && nft -f ${file} && nft -f ${file}`);
    assertEquals(
      await node.sh("nft list tables"),
      "table inet atomicni_podnet\ntable arp atomicni_podnet\ntable bridge atomicni_podnet\n",
    );
  },
);

nodeTest(
  "deploy/atomicni-rules@.service: systemd accepts it; its commands load and unload the rules",
  async (node) => {
    const unit = `${DEPLOY}/atomicni-rules@.service`;
    const { code, stdout, stderr } = await run(["systemd-analyze", "verify", "--man=no", unit]);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
    await node.sh(`mkdir /etc/atomicni && cp ${DEPLOY}/atomicni.nft /etc/atomicni/podnet.nft`);
    const text = await Deno.readTextFile(unit);
    const command = (name: string) =>
      [...text.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, line = "false"]) =>
        line.replaceAll("%i", "podnet")
      ).join("; ");
    await node.sh(command("ExecStart"));
    await node.sh(command("ExecReload"));
    assertMatch(await node.sh("nft list ruleset"), /masquerade/);
    await node.sh(command("ExecStop"));
    assertEquals(await node.sh("nft list ruleset"), "");
  },
);

nodeTest(
  "deploy/atomicni.sysctl: forwarding, the packet filter, and which interfaces accept router advertisements",
  async (node) => {
    const keys =
      "net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables";
    await node.sh(`for key in ${keys}; do sysctl -qw $key=0; done`);
    await node.sh("ip link add name atomic0 type bridge");
    await node.sh(`sysctl -e -q -p ${DEPLOY}/atomicni.sysctl`);
    assertEquals(await node.sh(`sysctl -n ${keys}`), "1\n1\n1\n1\n");
    assertEquals(await node.sh("sysctl -n net.ipv6.conf.atomic0.accept_ra"), "0\n");
  },
);

nodeTest(
  "deploy/atomicni.sysctl: a host keeps the default route that a router advertised",
  async (node) => {
    const defaults = () => node.sh("ip -6 route show default proto ra");
    const advertised = async () => {
      await node.sh(
        "ip link del dev eth0 2>/dev/null || :; sysctl -qw net.ipv6.conf.all.forwarding=0; ip link add name eth0 type veth peer name router; ip addr add fe80::1/64 dev router nodad; ip link set dev router up; ip link set dev eth0 up",
      );
      await node.until("an advertised route", async () => {
        await node.sh(ADVERTISE);
        return await defaults() === "" ? undefined : true;
      });
    };
    await advertised();
    await node.sh(`grep -v '^-net.ipv6.conf.eth0' ${DEPLOY}/atomicni.sysctl | sysctl -e -q -p -`);
    assertEquals(await defaults(), "", "the default route stays even without the line");
    await advertised();
    await node.sh(`sysctl -e -q -p ${DEPLOY}/atomicni.sysctl`);
    assertMatch(await defaults(), /^default via fe80::1 dev eth0 /);
  },
);

nodeTest(
  "deploy/atomicni.tmpfiles: creates the state folder and the folder that ip -n needs",
  async (node) => {
    await node.sh("mkdir /run/root");
    await node.sh(`systemd-tmpfiles --create --root=/run/root ${DEPLOY}/atomicni.tmpfiles`);
    assertEquals(
      await node.sh("cd /run/root && stat -c '%a %U %n' var/lib/atomicni run/netns"),
      "700 root var/lib/atomicni\n755 root run/netns\n",
    );
  },
);
