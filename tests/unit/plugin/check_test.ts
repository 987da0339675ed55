import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { check } from "../../../lib/plugin.ts";
import { config, effects, HOST, INVOCATION, LEASE, lease, type World } from "./world.ts";

const RESULT = { cniVersion: "1.0.0", interfaces: [{ name: HOST }], ips: [] };
const NOTHING = {
  bridge: undefined,
  inside: undefined,
  routes: [],
  entries: [],
  bridgeNeighbours: [],
  insideNeighbours: [],
};

/** Runs a CHECK that fails. Returns the inspected host veths, in their order. */
async function checked(world: World) {
  const tools = effects(world);
  const asked: string[] = [];
  const kernel: typeof tools.kernel = {
    ...tools.kernel,
    inspect: async ({ host }) => {
      asked.push(host);
      return await Promise.resolve({
        ...NOTHING,
        host: world.isGone ? undefined : parseLink({ ifname: host }),
      });
    },
  };
  const error = await assertRejects(
    () => check(config({ prevResult: RESULT }), INVOCATION, { ...tools, kernel }),
    CniError,
  );
  return { asked, error: error.kind };
}

Deno.test("CHECK inspects the host veth of the lease", async () => {
  assertEquals(await checked({ held: [LEASE] }), { asked: [HOST], error: "AttachmentDiffers" });
  assertEquals(await checked({ isGone: true }), { asked: [HOST], error: "UnknownContainer" });
  // A lease of the Go original has another host veth.
  const { asked } = await checked({ held: [lease("c1", "10.86.0.3")] });
  assertEquals([asked.length, asked[0] === HOST], [1, false]);
  // An unreadable state has no host veth to inspect.
  assertEquals(await checked({ failing: "read" }), { asked: [], error: "StateDamaged" });
});
