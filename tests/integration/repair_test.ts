import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { assertAddRefused } from "./refused_add.ts";
import { breakIp } from "./broken_ip.ts";
import { type Answer, CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";
import { unnamedNamespace } from "./unnamed.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;

async function repair(host: Host, ...options: string[]): Promise<Answer> {
  return await host.program(["repair", "--json", ...options], JSON.stringify(CONFIG));
}

for (const [liar, victim] of [["c1", "c2"], ["c2", "c1"]] as const) {
  hostTest(
    `repair keeps ${victim}'s lease if ${liar} sets the address on its own eth0`,
    async (host) => {
      await host.containers("c1", "c2", "c3");
      for (const id of ["c1", "c2"]) await host.add({ id });
      const before = await host.leases();
      const [own, taken] = [before[`${liar}/eth0`], before[`${victim}/eth0`]];
      await host.sh(`ip -n ${liar} addr del ${own}/24 dev eth0
        ip -n ${liar} addr add ${taken}/24 dev eth0`);
      const { code, json } = await repair(host);
      assert([0, 1, 2].includes(code), "repair says nothing");
      const lost = json.dropped.map(({ owner }: Json) => owner);
      assert(!lost.includes(`${victim}/eth0`), `the victim's lease was dropped: ${lost}`);
      assertEquals((await host.leases())[`${victim}/eth0`], taken, "the victim's lease");
      // A container that comes after the liar gets at most the liar's own address.
      await host.del({ id: liar });
      assertEquals((await host.leases())[`${victim}/eth0`], taken, "after the liar's DEL");
      const asked = await host.cni("ADD", { id: "c3", args: `IP=${taken}` });
      assertEquals(asked.json.code, 102, "the victim's address is allocated a second time");
    },
  );
}

hostTest("repair refuses the state of a newer schema and leaves it byte for byte", async (host) => {
  await host.containers("c1");
  await host.add();
  const newer = JSON.stringify({
    schema: 99,
    containerToIP: { "c1/eth0": "10.86.0.2" },
    ipToContainer: { "10.86.0.2": "c1/eth0" },
    lastReserved: "10.86.0.2",
    leases: {},
    quarantine: ["10.86.0.7"],
  });
  await host.run(["tee", STATE], newer);
  const files = await host.files();
  for (const options of [["--dry-run"], []]) {
    const { code, stdout, stderr } = await repair(host, ...options);
    assertNotEquals(code, 0, "repair reports success");
    assertStringIncludes(stdout + stderr, "schema 99");
    assertEquals(await host.sh(`cat ${STATE}`), newer, "the newer file was rewritten");
    assertEquals(await host.files(), files);
  }
});

/** Passes a batch on line by line, so that each command is finished well before the next one. */
const SLOW_BATCH = `case " $* " in *' -batch '*)
  printf '%s\\n' "$in" | while IFS= read -r line; do printf '%s\\n' "$line"; sleep 0.6; done |
    /run/ip.real "$@"
  exit ;; esac`;

hostTest(
  "repair --dry-run during an ADD does not advise to remove the new container's veth",
  async (host) => {
    await host.containers("c1");
    await host.add({ id: "c1" });
    // A namespace without a name, as Docker has them: the veth's peer can't be inspected.
    const pid = await unnamedNamespace(host);
    await breakIp(host, SLOW_BATCH);
    let isDone = false;
    const call = { id: "c2", netns: `/proc/${pid}/ns/net` };
    const adding = host.add(call).finally(() => isDone = true);
    const seen: Json[] = [];
    for (let tries = 0; !isDone && tries < 60; tries++) {
      const { json } = await repair(host, "--dry-run");
      seen.push(...json.findings);
    }
    const { interfaces } = await adding;
    const wrong = seen.filter((it) =>
      it.level !== "note" && JSON.stringify(it).includes(interfaces[1].name)
    );
    assertEquals(wrong, [], "a healthy container's veth is called unowned");
    assertEquals((await repair(host, "--dry-run")).json.findings, []);
  },
);

hostTest("repair guesses no address of a container that it can't inspect", async (host) => {
  const pid = await unnamedNamespace(host);
  try {
    const hidden = { id: "p1", netns: `/proc/${pid}/ns/net` };
    await host.containers("c2");
    await host.add(hidden);
    await host.sh(`cp -p ${STATE} /run/save`);
    await host.del(hidden);
    await host.add(hidden);
    await host.sh(`cp -p /run/save ${STATE}`);
    await assertAddRefused(host, "c2", "p1/eth0");
    const { code, stdout } = await host.program(["repair"], JSON.stringify(CONFIG));
    assertEquals(code, 2, stdout);
    assertStringIncludes(stdout, `"p1/eth0" may have `);
    await host.sh(`cmp /run/save ${STATE}`);
    await assertAddRefused(host, "c2", "p1/eth0");
    // The remedy of the message.
    await host.del(hidden);
    await host.add({ id: "c2" });
  } finally {
    await host.sh(`kill ${pid}`);
  }
});
