import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { DEPLOY, type Node, nodeTest } from "../runtimes/node.ts";
import { untilSh } from "../until.ts";

const PAGE = fromFileUrl(new URL("../../docs/internet-access.md", import.meta.url));
/** Pages of a machine outside, which has no route to containers. */
const OUTSIDE = ["http://192.0.2.2/", "http://[2001:db8::2]/"];
/** Pages of the second container. */
const NEIGHBOUR = ["http://10.86.0.3/", "http://[fd00:10:86::3]/"];
const CONFLIST = "/etc/cni/net.d/10-atomicni.conflist";

/** The commands of one section of the page, with comments, as a person would copy them. */
async function commandsOf(heading: string): Promise<string> {
  const text = await Deno.readTextFile(PAGE);
  const section = text.split(/^##+ /m).find((it) => it.startsWith(`${heading}\n`));
  const block = /^```sh\n([\s\S]*?)^```/m.exec(section ?? "")?.[1];
  assert(block !== undefined, `the page has no commands under "${heading}"`);
  return block;
}

/** Each starts the real firewall; it returns when its rules are loaded. */
const FIREWALLS: Record<string, string> = {
  Docker: `
mkdir -p /var/lib/docker && mount -t tmpfs tmpfs /var/lib/docker
dockerd --experimental --ip6tables=true >/run/log/dockerd.log 2>&1 </dev/null &
${untilSh("grep -q 'completed initialization' /run/log/dockerd.log", 30)}
iptables -S FORWARD | grep -q 'P FORWARD DROP'`,
  firewalld: `
mkdir -p /run/dbus /run/firewalld
dbus-daemon --system --fork
firewalld --nofork --nopid >/run/log/firewalld.log 2>&1 </dev/null &
${untilSh("firewall-cmd --state >/run/log/state.log 2>&1", 30)}`,
  ufw: "mkdir -p /run/ufw && ufw --force enable && ufw status | grep -q 'Status: active'",
};

/** A host without forwarding, with an uplink of both families. The machine behind it has no route to containers. */
async function addOutside(node: Node): Promise<void> {
  await node.containers("outside");
  await node.sh(`
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
ip link add name eth0 type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev eth0
ip addr add 2001:db8::1/64 dev eth0 nodad
ip link set dev eth0 up
ip -n outside addr add 192.0.2.2/24 dev eth0
ip -n outside addr add 2001:db8::2/64 dev eth0 nodad
ip -n outside link set dev eth0 up`);
  await serve(node, "outside");
}

/** A page on port 80 of all addresses. A ping would prove nothing, because ufw lets it pass. */
async function serve(node: Node, id: string): Promise<void> {
  await node.sh("mkdir -p /run/www && echo a page >/run/www/index.html");
  const httpd = ["busybox", "httpd", "-f", "-h", "/run/www"];
  await node.daemon(id, "ip", "netns", "exec", id, ...httpd);
}

/** The commands of a section, run as a person would run them: in the project's folder, as root. */
async function follow(node: Node, heading: string): Promise<void> {
  const commands = await commandsOf(heading);
  await node.sh(`cd ${DEPLOY}/..; PATH=$PATH:/opt/cni/bin; ${commands}`);
}

/** The pages that a container receives. */
async function reached(node: Node, id: string, pages = OUTSIDE): Promise<string[]> {
  const found: string[] = [];
  for (const page of pages) {
    const get = ["busybox", "wget", "-T", "2", "-qO-", page];
    if ((await node.run(["ip", "netns", "exec", id, ...get])).code === 0) found.push(page);
  }
  return found;
}

/** The container receives all pages, at once or after another neighbour resolution. */
async function reaches(node: Node, id: string, pages = OUTSIDE): Promise<void> {
  await node.until(`${id} gets ${pages.join(" ")}`, async () => {
    const found = await reached(node, id, pages);
    return found.length === pages.length || undefined;
  });
}

async function attach(node: Node): Promise<unknown> {
  const conflist = await Deno.readTextFile(`${DEPLOY}/10-atomicni.conflist`);
  await node.write(CONFLIST, conflist);
  const { cniVersion, name, plugins: [plugin] } = JSON.parse(conflist);
  await node.containers("c1");
  const config = { cniVersion, name, ...plugin };
  await node.add(config, "c1");
  return config;
}

nodeTest("the page's first two sections give a container the internet", async (node) => {
  await addOutside(node);
  await attach(node);
  assertEquals(await reached(node, "c1"), [], "without forwarding");
  await follow(node, "Forwarding");
  assertEquals(await reached(node, "c1"), [], "without masquerading");
  await follow(node, "Masquerading");
  await reaches(node, "c1");
});

for (const [firewall, start] of Object.entries(FIREWALLS)) {
  nodeTest(
    `with ${firewall}: it cuts containers off, and the page's lines let them out`,
    async (node) => {
      await addOutside(node);
      const config = await attach(node);
      await node.sh(start);
      await follow(node, "Forwarding");
      await follow(node, "Masquerading");
      assertEquals(await reached(node, "c1"), [], `${firewall} does not drop: what is tested?`);

      await follow(node, firewall);
      await reaches(node, "c1");
      await node.sh("ip -n outside route add 10.86.0.0/16 via 192.0.2.1");
      await serve(node, "c1");
      assertEquals(
        await reached(node, "outside", ["http://10.86.0.2/"]),
        [],
        "the page's lines let others in",
      );
      await node.del(config, "c1");
    },
  );

  nodeTest(
    `with ${firewall}: containers of one bridge reach each other although bridged packets are filtered`,
    async (node) => {
      await node.sh("sysctl -qw net.ipv4.ip_forward=0");
      const config = await attach(node);
      await node.sh(start);
      await node.sh(
        "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
      );
      await node.containers("c2");
      await node.add(config, "c2");
      await serve(node, "c2");
      assertEquals(
        await reached(node, "c1", NEIGHBOUR),
        [],
        "the fault does not occur, so the test proves nothing",
      );
      await follow(node, firewall);
      await reaches(node, "c1", NEIGHBOUR);
    },
  );
}
