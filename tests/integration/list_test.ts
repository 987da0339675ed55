import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";

function at(folder: string): Json {
  return { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}${folder}` } };
}

hostTest(
  "status --metrics has no series twice if a network has files in two folders",
  async (host) => {
    await host.containers("c1");
    await host.add({ config: at("/a") });
    await host.sh(
      `cp -rp ${STATE_FOLDER}/a ${STATE_FOLDER}/b; cp -p ${STATE_FOLDER}/a/podnet.json ${STATE_FOLDER}`,
    );
    const { code, stdout } = await host.program(["status", "--metrics"], "");
    assertEquals(code, 0);
    const series = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    assertEquals(series.filter((it, index) => series.indexOf(it) !== index), [], stdout);
    const sizes = series.filter((it) => it.startsWith("atomicni_pool_addresses{"));
    assertEquals(sizes.length, 3, stdout);
    for (const folder of ["/a", "/b"]) {
      assert(sizes.some((it) => it.includes(`="${STATE_FOLDER}${folder}"`)), `no label: ${sizes}`);
    }
  },
);

hostTest(
  "list shows an attachment once, however many copies of its state file exist",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ config: at("/a") });
    await host.add({ id: "c2", config: at("/a") });
    await host.sh(`cp -rp ${STATE_FOLDER}/a ${STATE_FOLDER}/b`);
    const { json, stdout } = await host.program(["list", "--json"], "");
    const shown = json.attachments.map(({ containerId, ifname }: Json) =>
      `${containerId}/${ifname}`
    );
    assertEquals(shown, ["c1/eth0", "c2/eth0"], stdout);
  },
);

const FULL = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];

for (const words of [["status", "--metrics"], ["status"], ["list", "--json"], ["list"]]) {
  hostTest(
    `a full device as stdout of ${words.join(" ")} is reported as such`,
    async (host: Host) => {
      await host.containers("c1");
      await host.add();
      const { code, stderr } = await host.program(words, "", {}, FULL);
      assertNotEquals(code, 0, "nothing could be written, but the exit status is success");
      assertMatch(stderr, /No space left on device|ENOSPC/);
      assert(!/199|bug/.test(stderr), stderr);
    },
  );
}
