import { assertEquals } from "@std/assert";
import type { Node } from "./node.ts";

export const NETWORK = "podnet";

/** The plugin entry of the tests' network, first in a chain. */
export const ATOMICNI = {
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
};

/** Writes the network's configuration where runtimes look for it. */
export async function writeConflist(node: Node, ...plugins: unknown[]): Promise<void> {
  const conflist = { cniVersion: "1.0.0", name: NETWORK, plugins };
  await node.write("/etc/cni/net.d/10-podnet.conflist", JSON.stringify(conflist));
}

/** The plugin, followed by these in the chain. */
export async function configure(node: Node, ...chained: unknown[]): Promise<void> {
  await writeConflist(node, ATOMICNI, ...chained);
}

/** The results that libcni caches, one file each. */
export async function cachedResults(node: Node): Promise<string[]> {
  const found = await node.sh(`find /var/lib/cni -name '${NETWORK}-*'`);
  return found.split("\n").filter((path) => path !== "");
}

/** Asserts that no container has left a veth, lease, cached result (except `forgotten` ones), ifb or rule. */
export async function assertNothingLeft(
  node: Node,
  forgotten: readonly string[] = [],
): Promise<void> {
  assertEquals(await node.hostVeths(), [], "a host veth is left");
  assertEquals(await node.leases(NETWORK), {}, "a lease is left");
  const cached = (await cachedResults(node)).filter((path) => !forgotten.includes(path));
  assertEquals(cached, [], "a cached result is left");
  assertEquals((await node.ip("link", "show", "type", "ifb")).length, 0, "an ifb is left");
  const rules = (await node.sh("iptables-save")).split("\n").filter((line) =>
    /10\.86\.0\.|CNI-DN-|CNI-SN-|dport/.test(line)
  );
  assertEquals(rules, [], "a rule is left");
}
