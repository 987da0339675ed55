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
  staticEntries: [],
  bridgeNeighbours: [],
  insideNeighbours: [],
};

/** Runs a CHECK that fails. Returns the inspected host veths, in their order. */
async function checked(world: World, answer: () => Promise<void> = () => Promise.resolve()) {
  const tools = effects(world);
  const asked: string[] = [];
  const kernel: typeof tools.kernel = {
    ...tools.kernel,
    inspect: async ({ host }) => {
      asked.push(host);
      await answer();
      return { ...NOTHING, host: world.isGone ? undefined : parseLink({ ifname: host }) };
    },
  };
  const error = await assertRejects(
    () => check(config({ prevResult: RESULT }), INVOCATION, { ...tools, kernel }),
    CniError,
  );
  return { asked, error: error.kind };
}

Deno.test("CHECK inspects the host veth of the lease, and only once if it has the derived name", async () => {
  assertEquals(await checked({ held: [LEASE] }), {
    asked: [HOST],
    error: "AttachmentDiffers",
  });
  assertEquals((await checked({ isGone: true })).error, "UnknownContainer");
  // A lease of the Go original has another host veth.
  const { asked } = await checked({ held: [lease("c1", "10.88.0.3")] });
  assertEquals([asked.length, asked[0], asked[1] === HOST], [2, HOST, false]);
});

Deno.test("CHECK reports an error of the state first, without waiting for the kernel", async () => {
  const gone = () => Promise.reject(new CniError("InvalidNetNS", "gone"));
  assertEquals(await checked({ held: [LEASE] }, gone), { asked: [HOST], error: "InvalidNetNS" });
  assertEquals(await checked({ failing: "read" }, gone), { asked: [HOST], error: "StateDamaged" });
  const never = () => new Promise<void>(() => {});
  assertEquals(await checked({ failing: "read" }, never), {
    asked: [HOST],
    error: "StateDamaged",
  });
});
