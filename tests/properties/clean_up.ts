import { CLEAR, LEFT_MARK, NO_OWNER } from "./folder.ts";
import { CONTAINERS, HOSTILE, neighbours, networkOf } from "./layouts.ts";
import { type Complaint, kindOf } from "./property.ts";
import { seatIn } from "./scene.ts";
import type { Stage } from "./stage.ts";
import { leftovers, look } from "./world.ts";

/** Root removes the obstacles. Then one DEL per container, if necessary a repair and a second DEL, leaves nothing. */
export async function cleanUp(stage: Stage): Promise<Complaint | undefined> {
  const { memory, host } = stage;
  await host.run(["sh", "-c", `{ ${CLEAR}\n } 2>/dev/null`]);
  const failed: number[] = [];
  for (const who of CONTAINERS.keys()) {
    if ((await stage.cni("DEL", who)).code !== 0) failed.push(who);
  }
  await stage.cni("DEL", HOSTILE, {}, { ifname: "net1" });
  if (memory.actor === "root") await repairFor(stage, failed);
  for (const who of failed) {
    const ended = await stage.cni("DEL", who);
    if (ended.code === 0 || !memory.canTellAll(neighbours(who))) continue;
    const kind = `a DEL fails, after a repair too: ${kindOf(ended.json?.msg ?? "")}`;
    return { kind, about: ended.stdout };
  }
  const scene = await stage.look();
  for (const id of CONTAINERS) {
    if (!seatIn(scene, id).outer || !memory.canTell(id)) continue;
    return { kind: "one DEL each leaves a veth", about: `it is ${id}'s` };
  }
  const remains = async () => leftovers(await look(host)).filter((it) => isOfProgram(stage, it));
  let left = await remains();
  // No DEL can name a key that is not an owner, and a repair refuses while a container of another plugin may be its owner.
  if (left.some((it) => it.includes(`: ${NO_OWNER} `))) {
    for (const id of CONTAINERS) await host.run(["ip", "-n", id, "link", "del", "dev", "eth0"]);
    await stage.person("repair", 0);
    left = await remains();
  }
  if (left.length === 0 || failed.length > 0) return undefined;
  return { kind: `one DEL each leaves ${left[0]?.split(":")[0]}`, about: left.join("\n") };
}

async function repairFor(stage: Stage, failed: readonly number[]): Promise<void> {
  for (const network of new Set(failed.map(networkOf))) {
    await stage.person("repair", network === 0 ? 0 : CONTAINERS.length - 1);
  }
}

/** Whether the program should have removed it. It does not remove links that somebody made or moved by hand. */
function isOfProgram({ memory, networks }: Stage, left: string): boolean {
  if (left.startsWith("a permanent neighbour")) {
    // Only the lease records the neighbours of a guard, by the name of the bridge.
    return !memory.hasDone(/^(state|folder)/) && left.endsWith(` on ${networks[0].bridge}`);
  }
  if (/^a (veth|link|bridge)/.test(left)) {
    return memory.actor === "container" && / on the host/.test(left);
  }
  return !left.includes(LEFT_MARK) && !(memory.isNewer && left.startsWith("a lease"));
}
