import { assertEquals } from "@std/assert";
import type { Node } from "./node.ts";

export const NETWORK = "podnet";

/** The plugin of the tests' network, to stand first in a chain. */
export const ATOMICNI = {
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.88.0.0/24",
  gateway: "10.88.0.1",
};

/** Writes the network's configuration where runtimes look for it. */
export async function writeConflist(node: Node, ...plugins: unknown[]): Promise<void> {
  const conflist = { cniVersion: "1.0.0", name: NETWORK, plugins };
  await node.write("/etc/cni/net.d/10-podnet.conflist", JSON.stringify(conflist));
}

/** The plugin with these behind it in the chain. */
export async function configure(node: Node, ...chained: unknown[]): Promise<void> {
  await writeConflist(node, ATOMICNI, ...chained);
}

/**
 * No veth, lease, cached result, ifb or rule of any container. Cached results are libcni's: of a runtime that was killed they
 * count as far as it `knows` the container.
 */
export async function assertNothingLeft(
  node: Node,
  knows: (id: string) => boolean = () => true,
): Promise<void> {
  assertEquals(await node.hostVeths(), [], "a host veth is left");
  assertEquals(await node.leases(NETWORK), {}, "a lease is left");
  const cached = (await node.sh(`find /var/lib/cni -name '${NETWORK}-*' -printf '%f\\n'`))
    .split("\n").filter((it) => it !== "" && knows(it.split("-")[1] ?? ""));
  assertEquals(cached, [], "a cached result is left");
  assertEquals((await node.ip("link", "show", "type", "ifb")).length, 0, "an ifb is left");
  const rules = (await node.sh("iptables-save")).split("\n").filter((line) =>
    /10\.88\.0\.|CNI-DN-|CNI-SN-|dport/.test(line)
  );
  assertEquals(rules, [], "a rule is left");
}
