import { assert, assertEquals } from "@std/assert";
import { CONFIG, hostTest, type Json } from "../integration/host.ts";

const PAGE = Deno.readTextFileSync(new URL("../../docs/configure.md", import.meta.url));
const DUAL = {
  ...CONFIG,
  subnet: "10.86.0.0/16",
  subnet6: "fd00:10:86::/64",
  gateway6: "fd00:10:86::1",
};
const { cniVersion, name, type, bridge } = CONFIG;

/** The configuration to which the block of each section is added. */
const BASES: Readonly<Record<string, Json>> = {
  "A part of the subnet": DUAL,
  "A second network of the same container": CONFIG,
  "From `bridge` + `host-local`": { cniVersion, name, type, bridge },
  "GC and STATUS": CONFIG,
};

/** The keys of a section's JSON block. */
function keysUnder(heading: string): Json {
  const section = PAGE.split(/^## /m).find((it) => it.startsWith(`${heading}\n`));
  const block = /^```json\n([\s\S]*?)^```/m.exec(section ?? "")?.[1];
  assert(block !== undefined, heading);
  return JSON.parse(`{${block}}`);
}

for (const [heading, base] of Object.entries(BASES)) {
  hostTest(
    `docs/configure.md, ${heading}: doctor accepts the block, and an ADD follows it`,
    async (host) => {
      await host.containers("c1");
      const keys = keysUnder(heading);
      const { cniVersions, ...config } = { ...base, ...keys };
      const list = { cniVersion: config.cniVersion, cniVersions, name, plugins: [config] };
      const { json } = await host.program(["doctor", "--json"], JSON.stringify(list));
      const amiss = json.findings.filter((it: Json) => ["key", "configuration"].includes(it.about));
      assertEquals(amiss.map(({ level }: Json) => level), ["ok"], JSON.stringify(json.findings));
      const { ips, routes = [] } = await host.add({ config });
      assertEquals(
        [ips.map(({ address }: Json) => address), routes.length],
        {
          "A part of the subnet": [["10.86.1.1/16", "fd00:10:86::1000/64"], 2],
          "A second network of the same container": [["10.86.0.2/24"], 0],
          "From `bridge` + `host-local`": [["10.86.0.2/24", "fd00:10:86::2/64"], 0],
          "GC and STATUS": [["10.86.0.2/24"], 1],
        }[heading],
      );
    },
  );
}
