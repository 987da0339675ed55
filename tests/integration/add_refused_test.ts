import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, hostTest, type Json, STATE_FOLDER } from "./host.ts";
import { holdLock, LOCK } from "./lock_holder.ts";
import { REFERENCE } from "./reference_config.ts";

function at(folder: string): Json {
  return { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}${folder}` } };
}

for (
  const [whose, config, mac] of [
    ["a MAC that another container requested", {
      ...CONFIG,
      runtimeConfig: { mac: "02:00:00:00:00:07" },
    }, "02:00:00:00:00:07"],
    ["the MAC that belongs to another container's address", CONFIG, "0a:58:0a:56:00:02"],
  ] as const
) {
  hostTest(`${whose} is refused, and nothing is left`, async (host) => {
    await host.containers("c1", "c2");
    const first = await host.add({ id: "c1", config });
    assertEquals(first.interfaces[2].mac, mac);
    const asked = { ...CONFIG, runtimeConfig: { mac: mac.toUpperCase() } };
    const { code, json, stdout } = await host.cni("ADD", { id: "c2", config: asked });
    assertEquals([code, json?.code], [1, 102], stdout);
    assertStringIncludes(`${json.msg} ${json.details}`, "c1/eth0");
    assertEquals(Object.keys(await host.leases()), ["c1/eth0"]);
    assertEquals((await host.hostVeths()).length, 1);
    // The container gets its own MAC again, and another one gets it when the container is gone.
    await host.del({ id: "c1" });
    assertEquals((await host.add({ id: "c2", config: asked })).interfaces[2].mac, mac);
  });
}

hostTest("a range of only the network or the broadcast address is refused", async (host) => {
  await host.containers("c1");
  for (const only of ["10.86.0.0", "10.86.0.255"]) {
    const range = { rangeStart: only, rangeEnd: only };
    for (
      const config of [{ ...CONFIG, ipam: range }, {
        ...REFERENCE,
        ipam: { ...REFERENCE.ipam, ...range },
      }]
    ) {
      const { code, json, stdout } = await host.cni("ADD", { config });
      assertEquals([code, json?.code], [1, 7], stdout);
      assertStringIncludes(json.msg, only);
    }
  }
  assertEquals(await host.links(), []);
  assertEquals(await host.files(), [], STATE_FOLDER);
});

const NO_FOLDERS = [
  "/.hidden",
  "/a/.b/c",
  "/.podnet.json",
  "/othernet.json",
  "/othernet.lock",
  "/othernet.json/below",
];

hostTest(
  "a dataDir that list or a remedy would mistake for a file is refused",
  async (host) => {
    await host.containers("c1");
    for (const folder of NO_FOLDERS) {
      const config = at(folder);
      const { code, json, stdout } = await host.cni("ADD", { config });
      assertEquals([code, json?.code], [1, 7], `${folder}: ${stdout}`);
      assertStringIncludes(json.msg, `${STATE_FOLDER}${folder}`);
      assertEquals(await host.files(), [], folder);
      const doctor = await host.program(["doctor"], JSON.stringify(config));
      assertNotEquals(doctor.code, 0, doctor.stdout);
    }
    // A folder that only resembles such a name is accepted, and listed.
    for (const folder of ["/a.b/json", "/lock", "/c.jsonx"]) {
      await host.add({ config: at(folder) });
      const { json } = await host.program(["list", "--json"], "");
      assertEquals(json.attachments.length, 1, folder);
      await host.del({ config: at(folder) });
    }
  },
);

hostTest(
  "an ADD that could not get the lock does not blame a dead process",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    // A run that was killed with the lock left its note; the present holder writes none.
    await host.sh(`sh -c 'echo $$' >/run/dead
    echo "process $(cat /run/dead) since 2026-01-01T00:00:00.000Z" >${LOCK}
    `);
    const holder = await holdLock(host, 29);
    const dead = (await host.sh("cat /run/dead")).trim();
    const { json, stdout } = await host.cni("ADD", { id: "c2" });
    await host.sh(`kill ${holder}`);
    assertEquals(json?.code, 11, stdout);
    const said = `${json.msg} ${json.details}`;
    assert(!said.includes(`held by process ${dead}`), said);
  },
);
