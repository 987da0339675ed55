import { assert, assertEquals } from "@std/assert";
import { DEPLOY, type Node, nodeTest } from "./node.ts";

const CONFIG = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
};

async function ruleset(node: Node): Promise<string> {
  return await node.sh("nft -s list ruleset");
}

/** Another machine, 192.0.2.2, without a route to the containers; it counts pings by their source. */
async function addOutside(node: Node): Promise<void> {
  await node.containers("outside");
  await node.sh(`
ip link add name uplink type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev uplink
ip link set dev uplink up
ip -n outside addr add 192.0.2.2/24 dev eth0
ip -n outside link set dev eth0 up
ip netns exec outside nft -f - <<'END'
table ip seen {
  counter node {}
  counter container {}
  chain input {
    type filter hook input priority 0;
    ip saddr 192.0.2.1 icmp type echo-request counter name node
    ip saddr 10.86.0.0/24 icmp type echo-request counter name container
  }
}
END`);
}

/** The number of pings that arrived outside from the node's address, and from a container's own. */
async function seen(node: Node): Promise<{ node: number; container: number }> {
  const { nftables } = JSON.parse(await node.sh("ip netns exec outside nft -j list counters"));
  const packets = (name: string): number =>
    nftables.find((it: { counter?: { name: string } }) => it.counter?.name === name).counter
      .packets;
  return { node: packets("node"), container: packets("container") };
}

/** The text without the comments at its beginning. */
function body(rules: string): string {
  return rules.replaceAll(/^#.*\n/gm, "");
}

nodeTest(
  "host-rules: the file in deploy/ is its output for the conflist in deploy/",
  async (node) => {
    const file = await Deno.readTextFile(`${DEPLOY}/atomicni.nft`);
    const conflist = JSON.parse(await Deno.readTextFile(`${DEPLOY}/10-atomicni.conflist`));
    assertEquals(body(file), body(await node.hostRules(conflist)));
    await node.sh("nft -f -", file);
    assert((await ruleset(node)).includes("masquerade"));
  },
);

nodeTest(
  "host-rules: masquerades by subnet; no rule comes or goes with a container",
  async (node) => {
    await addOutside(node);
    await node.containers("c1", "c2", "c3");
    for (const id of ["c1", "c2"]) await node.add(CONFIG, id);
    assert(!await node.pings("c1", "192.0.2.2"), "answered without masquerade");
    assertEquals(await seen(node), { node: 0, container: 1 });

    await node.sh("nft -f -", await node.hostRules(CONFIG));
    const before = await ruleset(node);
    await node.add(CONFIG, "c3");
    for (const id of ["c1", "c2", "c3"]) assert(await node.pings(id, "192.0.2.2"), id);
    assertEquals(await seen(node), { node: 3, container: 1 });
    assert(await node.pings("c1", "10.86.0.3"), "container to container");
    for (const id of ["c1", "c2", "c3"]) await node.del(CONFIG, id);
    assertEquals(await ruleset(node), before);
    await node.sh("nft -f -", await node.hostRules(CONFIG));
    assertEquals(await ruleset(node), before, "loaded twice");
  },
);

nodeTest(
  "host-rules: a network named as reached directly sees the container's own address",
  async (node) => {
    await addOutside(node);
    await node.sh("ip -n outside route add 10.86.0.0/24 via 192.0.2.1");
    await node.containers("c1");
    await node.add(CONFIG, "c1");
    await node.sh(
      "nft -f -",
      await node.hostRules(CONFIG, "192.0.2.0/25", "192.0.2.0/24"),
    );
    assert(await node.pings("c1", "192.0.2.2"));
    assertEquals(await seen(node), { node: 0, container: 1 });
  },
);

nodeTest("host-rules: a source outside the subnet does not leave the bridge", async (node) => {
  await addOutside(node);
  await node.sh(
    "ip -n outside route add 10.99.0.0/24 via 192.0.2.1; ip route add 10.99.0.0/24 dev atomic0 || :",
  );
  await node.containers("c1");
  await node.add(CONFIG, "c1");
  await node.sh(
    "ip -n c1 addr add 10.99.0.9/32 dev eth0; ip route replace 10.99.0.0/24 dev atomic0",
  );
  assert(await node.pings("c1", "192.0.2.2", "-I", "10.99.0.9"), "the way without rules");
  await node.sh("nft -f -", await node.hostRules(CONFIG));
  assert(!await node.pings("c1", "192.0.2.2", "-I", "10.99.0.9"), "a foreign source got out");
  assert(await node.pings("c1", "192.0.2.2"), "its own address");
});

nodeTest(
  "host-rules: the command accepts networks and reports invalid input",
  async (node) => {
    const rows: [args: string[], stdin: string, code: number, text: string][] = [
      [
        ["192.0.2.0/24"],
        JSON.stringify(CONFIG),
        0,
        "ip daddr != { 10.86.0.0/24, 192.0.2.0/24, 224.0.0.0/4 } masquerade",
      ],
      [
        ["192.0.2.1/24"],
        JSON.stringify(CONFIG),
        2,
        "host bits are set; the network is 192.0.2.0/24",
      ],
      [[], "", 2, "stdin is empty"],
      [[], JSON.stringify({ ...CONFIG, subnet: "10.86.0.0" }), 2, 'Cannot use subnet "10.86.0.0"'],
      [
        [],
        JSON.stringify({ cniVersion: "1.0.0", name: "n", plugins: [] }),
        2,
        'has "type": "atomicni"',
      ],
    ];
    for (const [args, stdin, code, text] of rows) {
      const found = await node.run(["/opt/cni/bin/atomicni", "host-rules", ...args], stdin);
      assertEquals(found.code, code, found.stderr);
      assert((found.stdout + found.stderr).includes(text), found.stdout + found.stderr);
    }
  },
);

nodeTest(
  "host-rules: every valid name is written in a form that nft accepts, or refused",
  async (node) => {
    const rows: [name: string, bridge: string, error: string][] = [
      ["podnet", "atomic0", ""],
      ["9.a-b_C", "br-1.2@x", ""],
      ["table", "drop", ""],
      ["n".repeat(200), "ünter$(x)", ""],
      ["podnet", 'a";flush', 'it has a ", which ip'],
      ["podnet", "a'", "it has a ', which ip"],
      ["podnet", "a*", 'Cannot use bridge "a*" as a name in nftables: it has a *'],
      ["podnet", "a\\", "it has a \\, which ip"],
    ];
    for (const [name, bridge, error] of rows) {
      const config = JSON.stringify({ ...CONFIG, name, bridge });
      const { code, stdout, stderr } = await node.run(
        ["/opt/cni/bin/atomicni", "host-rules"],
        config,
      );
      if (error === "") {
        await node.sh("nft -c -f -", stdout);
        continue;
      }
      assertEquals(code, 2, stdout);
      assert(stderr.includes(error), stderr);
    }
  },
);

nodeTest("host-rules: the dialect of bridge + host-local produces the same file", async (node) => {
  const { name, bridge, cniVersion, type } = CONFIG;
  const config = {
    cniVersion,
    name,
    type,
    bridge,
    isGateway: true,
    ipam: { type: "host-local", subnet: CONFIG.subnet },
  };
  const rules = await node.hostRules(config);
  assertEquals(rules, await node.hostRules(CONFIG));
  await node.sh("nft -c -f -", rules);
});
