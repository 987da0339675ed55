import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { CONFIG, type Host, hostTest, type Json, PROGRAM } from "../integration/host.ts";

const DEPLOY = fromFileUrl(new URL("../../deploy/", import.meta.url));

const V6 = { subnet6: "fd00:9::/64", gateway6: "fd00:9::1" };
/** Networks for which `host-rules` prints different rules. */
const NETWORKS: readonly [name: string, config: Json][] = [
  ["IPv4", CONFIG],
  ["both families", { ...CONFIG, ...V6 }],
  ["both families, isolated", { ...CONFIG, ...V6, portIsolation: true }],
  ["both families, guarded", { ...CONFIG, ...V6, macspoofchk: true }],
  ["several subnets", {
    cniVersion: "1.0.0",
    name: "several",
    type: "atomicni",
    bridge: "br1",
    isGateway: true,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.7.0.0/24" }, { subnet: "10.7.1.0/24" }], [{ subnet: "fd07::/64" }, {
        subnet: "fd08::/64",
      }]],
    },
  }],
];

/** This nft accepts the rules twice, and lists them afterwards. */
async function loads(host: Host, rules: string, network: string): Promise<void> {
  for (const _ of [1, 2]) {
    const { code, stderr } = await host.run(["nft", "-f", "-"], rules);
    assertEquals(code, 0, stderr);
  }
  const tables = (await host.sh("nft list tables")).trim().split("\n").sort();
  assertEquals(tables, ["arp", "bridge", "inet"].map((it) => `table ${it} atomicni_${network}`));
  assertStringIncludes(await host.sh(`nft list table inet atomicni_${network}`), "masquerade");
}

for (const [name, config] of NETWORKS) {
  hostTest(`this nft loads the host-rules: ${name}`, async (host) => {
    const { code, stdout, stderr } = await host.run(
      [...PROGRAM, "host-rules"],
      JSON.stringify(config),
    );
    assertEquals(code, 0, stderr);
    await loads(host, stdout, config.name);
  });
}

hostTest("this nft loads deploy/atomicni.nft", async (host) => {
  const rules = await Deno.readTextFile(`${DEPLOY}atomicni.nft`);
  assert(rules.startsWith("#!/usr/sbin/nft -f"));
  await loads(host, rules, "podnet");
});
