import { assertEquals } from "@std/assert";
import { groupOf } from "../../../lib/base/names.ts";
import type { Link, SeenVeth } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { gc } from "../../../lib/plugin.ts";
import { BOUND, effects, HOST, LEASE, lease, NETWORK, RECORD, type World } from "./world.ts";

const OWN: Partial<Link> = {
  ...{ ifname: HOST, alias: "podnet/c1/eth0", mac: RECORD.hostMac, master: "br0" },
  group: groupOf(NETWORK.name),
};
const RELEASED = "unverified release c1/eth0";

Deno.test("GC releases unlisted attachments, and without a list only stale leases", async () => {
  const keep = [{ containerId: "c1", ifname: "eth0" }];
  const anew = { ...OWN, mac: "fe:00:00:00:00:77" };
  const rows: [Parameters<typeof gc>[1], World, string[]][] = [
    [keep, { held: [LEASE] }, ["view", "sweep"]],
    [keep, { held: [LEASE, lease("c2/eth0", "10.86.0.3")], veths: [OWN] }, [
      "view",
      "unverified release c2/eth0",
    ]],
    [[], { held: [LEASE] }, ["view", RELEASED]],
    [[], { held: [LEASE], veths: [OWN] }, ["view", `remove ${HOST}`, RELEASED]],
    [[], { held: [BOUND] }, ["view", "flush 10.86.0.2", RELEASED]],
    // One `ip` for all leases of a bridge.
    [[], { held: [BOUND, { ...lease("c2/eth0", "10.86.0.3"), record: BOUND.record }] }, [
      "view",
      "flush 10.86.0.2,10.86.0.3",
      "unverified release c1/eth0, release c2/eth0",
    ]],
    [keep, { held: [LEASE], veths: [OWN] }, ["view", "sweep"]],
    // A listed attachment keeps its veth under any name and alias, with and without a lease.
    [keep, { held: [LEASE], veths: [{ ...OWN, ifname: "renamed0", alias: "x" }] }, [
      "view",
      "sweep",
    ]],
    [keep, { veths: [{ ...OWN, alias: "dc1/rack2/web" }] }, ["view", "sweep"]],
    [keep, { veths: [{ ...OWN, ifname: "renamed0" }] }, ["view", "sweep"]],
    [[], { veths: [{ ...OWN, ifname: "renamed0" }] }, ["view", "remove renamed0", "sweep"]],
    [[], { veths: [{ ...OWN, alias: "dc1/rack2/web" }] }, ["view", `remove ${HOST}`, "sweep"]],
    [[], { veths: [{ ...OWN, alias: "" }] }, ["view", `remove ${HOST}`, "sweep"]],
    // A veth with only an alias of the network, and a veth of another program, stay.
    [[], { veths: [{ ...OWN, ifname: "veth0", group: 0 }] }, ["view", "sweep"]],
    [[], { veths: [{ ...OWN, ifname: "veth0", alias: "", group: 0 }] }, ["view", "sweep"]],
    // A veth with an ADD in progress stays.
    [[], { veths: [anew], mark: "running" }, ["view", "sweep"]],
    [[], { held: [LEASE], veths: [anew], mark: "running" }, ["view", "sweep"]],
    [undefined, { held: [LEASE] }, ["view", RELEASED]],
    [undefined, { held: [LEASE], veths: [OWN] }, ["view", "look"]],
    [undefined, { veths: [OWN] }, ["view", "view", "look"]],
    [undefined, { veths: [anew], mark: "running" }, ["view", "look"]],
  ];
  for (const [valid, world, steps] of rows) {
    const tools = effects(world);
    await gc(NETWORK, valid, tools);
    const seen = tools.steps.filter((it) => it !== "clear mark");
    assertEquals(seen, steps, JSON.stringify([valid, world]));
  }
});

Deno.test("GC without a list removes a veth without lease whose container lacks the interface", async () => {
  const rows: [readonly string[] | undefined, boolean, string?][] = [
    [undefined, false],
    [["lo", "eth0"], false],
    [["lo", "eth9"], true],
    // Only the alias names the interface, and root may have written another alias.
    [["lo", "eth9"], false, "renamed0"],
  ];
  for (const [inside, isRemoved, ifname = HOST] of rows) {
    const tools = effects({ veths: [{ ...OWN, ifname }] });
    const links = (inside ?? []).map((ifname) => parseLink({ ifname }));
    const view = async (): Promise<SeenVeth[]> =>
      (await tools.kernel.links()).map((link) => ({
        link,
        inside: inside && { netns: "/run/netns/c1", links, peer: parseLink({}) },
      }));
    await gc(NETWORK, undefined, { ...tools, kernel: { ...tools.kernel, view } });
    assertEquals(tools.steps.includes(`remove ${ifname}`), isRemoved, inside?.join());
  }
});
