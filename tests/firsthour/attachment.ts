import { assertEquals } from "@std/assert";
import type { Json } from "../integration/host.ts";
import type { CniCall, Node } from "../runtimes/node.ts";

export const CONFLIST = "/etc/cni/net.d/10-atomicni.conflist";

/** The plugin's configuration in the node's conflist, with a version that has every command. */
export async function configOf(node: Node): Promise<Json> {
  const { name, plugins: [plugin] } = JSON.parse(await node.read(CONFLIST));
  return { cniVersion: "1.1.0", name, ...plugin };
}

/** The error code of an ADD; 0 if it works. */
export async function codeOfAdd(node: Node, id: string, call: CniCall = {}): Promise<number> {
  const { code, stdout } = await node.cni("ADD", await configOf(node), id, call);
  return code === 0 ? 0 : JSON.parse(stdout).code;
}

/** Runs an ADD, a ping to each gateway, and a DEL, and asserts that the DEL removes everything. */
export async function assertWorks(node: Node, id: string, call: CniCall = {}): Promise<void> {
  const config = await configOf(node);
  await node.add(config, id, call);
  await assertReaches(node, id, config, call);
  await node.del(config, id, call);
  const owners = Object.keys(await node.leases(config.name));
  assertEquals(owners.filter((owner) => owner.startsWith(`${id}/`)), [], "a lease is left");
}

export async function assertReaches(
  node: Node,
  id: string,
  { gateway, gateway6 }: Json,
  { netns = `/run/netns/${id}` }: CniCall = {},
): Promise<void> {
  for (const to of [gateway, gateway6]) {
    // The carrier of a bridge appears shortly after its first port.
    const ping = ["busybox", "ping", "-c", "1", "-W", "2", to];
    await node.until(
      `${id} reaches ${to}`,
      async () => (await node.run(["nsenter", `--net=${netns}`, ...ping])).code === 0 || undefined,
      6,
    );
  }
}
