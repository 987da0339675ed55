import { CONTAINERS } from "./layouts.ts";
import type { FOLDERS } from "./days.ts";
import { importTruth, lost } from "./oracles.ts";
import type { Complaint } from "./property.ts";
import type { Stage } from "./stage.ts";

/** The reference plugins attach a container: a veth without an alias, and a file in their folder. */
export async function attachByReference(stage: Stage, who: number, bridge: string): Promise<void> {
  const id = CONTAINERS[who] ?? "k0";
  const ip = `10.88.0.${2 + who}`;
  const { code } = await stage.host.run([
    "sh",
    "-ec",
    `ip link show dev ${bridge} >/dev/null 2>&1 || { ip link add name ${bridge} type bridge
      ip addr add 10.88.0.1/24 dev ${bridge}; ip link set dev ${bridge} up; }
    ip link add name veth0000${id} master ${bridge} up type veth peer name eth0 netns ${id}
    ip -n ${id} addr add ${ip}/24 dev eth0; ip -n ${id} link set dev eth0 up`,
  ]);
  stage.changed();
  if (code === 0) stage.memory.referenced(id, ip, bridge === stage.networks[0].bridge);
}

/** `import` of the reference's folder. */
export async function importLeases(
  stage: Stage,
  who: number,
  folder: (typeof FOLDERS)[number],
): Promise<Complaint | undefined> {
  const { lines, missing } = stage.memory.folder(folder);
  const before = await stage.before();
  const answer = await stage.person("import", who, lines);
  const after = await stage.look();
  stage.memory.imported(answer, missing);
  return lost(stage.memory, { before, after, target: "", answer, what: "an import" }) ??
    importTruth(stage.memory, after, answer, missing);
}
