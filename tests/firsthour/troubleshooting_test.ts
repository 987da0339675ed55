import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Containerd, IMAGE } from "../runtimes/containerd.ts";
import { type CniCall, type Node, nodeTest } from "../runtimes/node.ts";
import { assertReaches, assertWorks, codeOfAdd, configOf, CONFLIST } from "./attachment.ts";
import { follow, install, sectionsOf } from "./page.ts";
import { untilSh } from "../until.ts";

const PAGE = "docs/troubleshooting.md";

/** A row of the page: the commands that cause its symptom, show it, and do the steps that the page has in words. */
interface Row {
  /** Commands for a node that docs/install.md has installed. */
  readonly provoke: (node: Node) => Promise<unknown>;
  /** The error code of an ADD of c1, or a check that fails unless the symptom is there. */
  readonly symptom: number | ((node: Node) => Promise<unknown>);
  readonly fix?: (node: Node) => Promise<unknown>;
  /** The commands that attach c1, if they differ from the usual ones. */
  readonly call?: (node: Node) => Promise<CniCall>;
}

const attach = async (node: Node, id: string) => {
  await node.containers(id);
  await node.add(await configOf(node), id);
};
const change = (node: Node, filter: string) =>
  node.sh(`jq '${filter}' ${CONFLIST} >/run/changed && cat /run/changed >${CONFLIST}`);
const atomicni = async (node: Node, ...args: string[]) =>
  (await node.run(["/opt/cni/bin/atomicni", ...args])).stdout;

const ROWS: Readonly<Record<string, Row>> = {
  "No address: failed to find plugin": {
    provoke: (node) => node.sh("rm /opt/cni/bin/atomicni"),
    symptom: async (node) => {
      const { code } = await node.run(["/opt/cni/bin/atomicni"]);
      assert(code !== 0, "the program is still there");
    },
  },
  "No address: the configuration is refused": {
    provoke: (node) => change(node, '.plugins[0].gateway = "10.99.0.1"'),
    symptom: 7,
    fix: (node) => change(node, '.plugins[0].gateway = "10.86.0.1"'),
  },
  "Pool full": {
    provoke: async (node) => {
      await change(node, '.plugins[0].ipam = {rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2"}');
      await attach(node, "c0");
    },
    symptom: 101,
    fix: (node) => change(node, '.plugins[0].ipam.rangeEnd = "10.86.0.9"'),
  },
  "The requested address is held": {
    provoke: (node) => attach(node, "c0"),
    symptom: async (node) =>
      assertEquals(await codeOfAdd(node, "c1", { args: "IP=10.86.0.2" }), 102),
    fix: async (node) => assertStringIncludes(await atomicni(node, "explain", "10.86.0.2"), "c0"),
  },
  "The interface exists already": {
    provoke: async (node) => await node.add(await configOf(node), "c1"),
    symptom: 103,
    fix: async (node) => await node.del(await configOf(node), "c1"),
  },
  "State damaged": {
    provoke: async (node) => {
      await attach(node, "c0");
      await node.sh(": >/var/lib/atomicni/podnet.json");
    },
    symptom: 104,
    fix: async (node) => await assertReaches(node, "c0", await configOf(node)),
  },
  "A container can't be inspected": {
    provoke: async (node) => {
      await Containerd.start(node);
      await node.sh(
        `ctr run --detach --cni ${IMAGE} web sleep 1000; : >/var/lib/atomicni/podnet.json`,
      );
    },
    symptom: async (node) => {
      const { code, stdout } = await node.run(
        ["sh", "-c", `/opt/cni/bin/atomicni repair <${CONFLIST}`],
      );
      assertEquals(code, 2, stdout);
      assertStringIncludes(stdout, "can't be inspected");
      // The finding has the command for this container.
      const [, id = ""] = /ip netns attach (reach-\d+) \$\(lsns/.exec(stdout) ?? [];
      const [command = ""] = /ip netns attach [^;]*/.exec(stdout) ?? [];
      await node.sh(`${command}; ip netns pids ${id} | grep -q .; ip netns del ${id}`);
    },
    fix: async (node) => {
      assertEquals(Object.keys(await node.leases("podnet")), ["default-web/eth0"]);
      assertEquals(await node.sh("ip netns list | grep reach || :"), "");
      assertStringIncludes(await atomicni(node, "list"), "live");
    },
  },
  "State folder unusable": {
    provoke: (node) => node.sh("chown 1000 /var/lib/atomicni"),
    symptom: 5,
  },
  "No namespace can be entered": {
    provoke: async (node) => {
      await node.sh(
        "ip netns del c1; umount /run/netns; rmdir /run/netns; rm /etc/tmpfiles.d/atomicni.conf",
      );
      const pid = await node.daemon("holder", "unshare", "-n", "sleep", "1000");
      await node.write("/run/holder", String(pid));
      await node.sh(
        untilSh(`[ "$(readlink /proc/${pid}/ns/net)" != "$(readlink /proc/1/ns/net)" ]`),
      );
    },
    symptom: 8,
    call: async (node) => ({ netns: `/proc/${(await node.read("/run/holder")).trim()}/ns/net` }),
  },
  "The bridge has another address": {
    provoke: (node) =>
      node.sh(
        "ip link add name atomic0 type bridge; ip addr add 10.99.0.1/24 dev atomic0; ip link set dev atomic0 up",
      ),
    symptom: 105,
    fix: (node) => node.sh("ip addr del 10.99.0.1/24 dev atomic0"),
  },
  "Bridge gone": {
    provoke: async (node) => {
      await attach(node, "c0");
      await node.sh("ip link del dev atomic0");
    },
    symptom: async (node) => assert(!await node.pings("c0", "10.86.0.1"), "c0 is not cut off"),
    fix: async (node) => {
      await attach(node, "c2");
      await assertReaches(node, "c0", await configOf(node));
    },
  },
  "IPv6 is switched off": {
    provoke: (node) => node.sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1"),
    symptom: 100,
  },
  "Timeout": {
    provoke: async (node) => {
      await node.sh("touch /var/lib/atomicni/podnet.lock");
      await node.daemon("other", "flock", "/var/lib/atomicni/podnet.lock", "sleep", "1000");
    },
    symptom: 11,
    fix: (node) => node.sh("kill $(fuser /var/lib/atomicni/podnet.lock 2>/dev/null)"),
  },
  "No way out": {
    provoke: async (node) => {
      await node.sh(`
ip link add name eth0 type veth peer name far
ip netns add outside && ip link set dev far netns outside
ip addr add 192.0.2.1/24 dev eth0 && ip link set dev eth0 up
ip -n outside addr add 192.0.2.2/24 dev far && ip -n outside link set dev far up
sysctl -qw net.ipv4.ip_forward=0
nft delete table inet atomicni_podnet`);
      await attach(node, "c0");
    },
    symptom: async (node) => {
      assert(await node.pings("c0", "10.86.0.1"), "not even the gateway");
      assert(!await node.pings("c0", "192.0.2.2"), "it reaches what is beyond");
    },
    fix: async (node) => assert(await node.pings("c0", "192.0.2.2"), "it does not get out"),
  },
  "CHECK fails": {
    provoke: async (node) => {
      const config = await configOf(node);
      await node.write("/run/result", JSON.stringify(await node.add(config, "c1")));
      await node.sh("ip -n c1 addr del 10.86.0.2/16 dev eth0");
    },
    symptom: async (node) => {
      const prevResult = JSON.parse(await node.read("/run/result"));
      const config = { ...await configOf(node), prevResult };
      const { stdout } = await node.cni("CHECK", config, "c1");
      assertEquals(JSON.parse(stdout).code, 106, stdout);
    },
    fix: async (node) => await node.del(await configOf(node), "c1"),
  },
  "After a reboot": {
    provoke: async (node) => {
      await attach(node, "c0");
      await node.sh("ip netns del c0; ip link del dev atomic0");
      await node.until(
        "the veth is gone",
        async () => (await node.hostVeths()).length === 0 || undefined,
      );
    },
    symptom: async (node) => assertStringIncludes(await atomicni(node, "list"), "stale"),
    fix: async (node) => assertStringIncludes(await atomicni(node, "list"), "No attachments."),
  },
  "A container can't be removed": {
    provoke: async (node) => {
      await node.add(await configOf(node), "c1");
      await node.sh(`rm ${CONFLIST} /opt/cni/bin/atomicni`);
    },
    symptom: async (node) => {
      assert((await node.run(["/opt/cni/bin/atomicni"])).code !== 0);
    },
    fix: async (node) => await node.del(await configOf(node), "c1"),
  },
};

/** Rows that another suite causes and fixes. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "Containers don't reach each other": "tests/firewalls",
};

Deno.test("each row of the page is provoked here or elsewhere, and none that the page has not", async () => {
  const headings = (await sectionsOf(PAGE)).map(({ heading }) => heading).filter((it) => it !== "");
  assertEquals([...Object.keys(ROWS), ...Object.keys(ELSEWHERE)].sort(), headings.sort());
});

for (const [heading, { provoke, symptom, fix, call }] of Object.entries(ROWS)) {
  nodeTest(`${heading}: caused, and fixed by the row's own commands`, async (node) => {
    await install(node);
    await node.containers("c1");
    await provoke(node);
    const how = await call?.(node) ?? {};
    if (typeof symptom === "number") assertEquals(await codeOfAdd(node, "c1", how), symptom);
    else await symptom(node);
    await follow(node, PAGE, heading);
    await fix?.(node);
    await assertWorks(node, "c1", how);
  });
}
