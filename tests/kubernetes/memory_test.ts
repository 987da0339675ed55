import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest, isHostVeth, type Json, PROGRAM } from "../integration/host.ts";
import { manifest } from "./delivery.ts";
import { record } from "./figures.ts";
import { until } from "../until.ts";
import { MemoryGroup } from "./memory_group.ts";

/** The most MB of each of many ADDs at once; docs/kubernetes-image.md has the measured figures. */
const EACH = 32;
/** A cgroup of a runtime that is too small for 110 ADDs at once, in MB. */
const SMALL = 512;

/** The manifest's network, as the DaemonSet composes it for a node with both families. */
async function network(): Promise<Json> {
  const map = (await manifest()).find(({ kind }) => kind === "ConfigMap");
  const ranges = '[[{"subnet":"10.244.3.0/24"}],[{"subnet":"fd00:10:244:3::/64"}]]';
  const list = JSON.parse(
    map.data.conflist.replace("@MTU@", "1500").replace("@RANGES@", ranges),
  );
  const { name, cniVersion } = list;
  return { ...list.plugins.find(({ type }: Json) => type === "atomicni"), name, cniVersion };
}

/** Runs ADDs of new containers at once, in a cgroup. Returns the containers' IDs, those that failed, and seconds of processor. */
async function addAtOnce(host: Host, group: MemoryGroup, config: Json, count: number) {
  const ids = Array.from({ length: count }, (_, index) => `c${index + 1}`);
  await host.containers(...ids);
  const { code, stdout } = await host.run(
    ["sh", "-c", AT_ONCE, group.processes, PROGRAM.join(" "), ...ids],
    JSON.stringify(config),
  );
  assertEquals(code, 0, stdout);
  const failed = ids.filter((id) => !stdout.split("\n").includes(`added ${id}`));
  const [user = "", system = ""] = stdout.trim().split("\n").at(-1)?.split(" ") ?? [];
  return { ids, failed, said: stdout, seconds: secondsOf(user) + secondsOf(system) };
}

const AT_ONCE = `
echo $$ >"$0"
program=$1
shift
cat >/run/config
export CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
for id in "$@"; do
  { CNI_CONTAINERID=$id CNI_NETNS=/run/netns/$id $program </run/config >/run/$id.out 2>&1 && echo "added $id" || cat /run/$id.out; } &
done
wait
times`;

/** `0m1.25s` of the shell's `times`. */
function secondsOf(text: string): number {
  const [, minutes, seconds] = /^(\d+)m([\d.]+)s$/.exec(text) ?? [];
  return 60 * Number(minutes) + Number(seconds);
}

for (const count of [64, 110]) {
  hostTest(`memory and processor time of ${count} ADDs at once`, async (host) => {
    await using group = await MemoryGroup.create();
    const { failed, seconds, said } = await addAtOnce(host, group, await network(), count);
    // On a busy machine, the last ones may wait too long for the lock; a runtime tries them again.
    assertEquals(said.match(/"code":11,/g)?.length ?? 0, failed.length, said);
    assert(failed.length < count / 2, said);
    const peak = await group.peak();
    await record(`${count} ADDs at once`, `${Math.round(peak)} MB`);
    await record(
      "each",
      `${(peak / count).toFixed(1)} MB, ${(1000 * seconds / count).toFixed(0)} ms`,
    );
    assert(peak > count && peak < EACH * count, `${peak} MB`);
  });
}

hostTest(
  `110 ADDs at once in ${SMALL} MB: the killed ones leave nothing after a GC`,
  async (host) => {
    const config = await network();
    await using group = await MemoryGroup.create(SMALL);
    const { ids, failed } = await addAtOnce(host, group, config, 110);
    const killed = await group.killed();
    await record(`110 ADDs at once in ${SMALL} MB`, `${failed.length} failed, ${killed} killed`);
    assert(killed > 0 && failed.length >= killed, `${failed.length} failed, ${killed} killed`);
    // The `ip` of a killed ADD can outlive it, and make its veth after the GC.
    await until(
      "every process of the cgroup ends",
      async () => await Deno.readTextFile(group.processes) === "",
    );
    const live = ids.filter((id) => !failed.includes(id));
    const attachments = live.map((containerID) => ({ containerID, ifname: "eth0" }));
    const gc = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": attachments };
    const { code, stdout } = await host.cni("GC", { config: gc });
    assertEquals([code, stdout], [0, ""]);
    assertEquals((await host.links()).filter(isHostVeth).length, live.length);
    assertEquals(
      Object.keys(await host.leases()).sort(),
      live.map((id) => `${id}/eth0`).sort(),
    );
    for (const id of ids) await host.del({ config, id });
    await host.assertNothingLeft();
  },
);
