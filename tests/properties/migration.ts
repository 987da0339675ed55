import { CONTAINERS } from "./layouts.ts";
import { importTruth, lost } from "./invariants.ts";
import type { Complaint } from "./property.ts";
import type { FOLDERS } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The reference plugins attach a container: a veth without an alias, and a file in their folder. */
export async function attachByReference(stage: Stage, who: number, bridge: string): Promise<void> {
  const id = CONTAINERS[who] ?? "k0";
  const ip = `10.86.0.${2 + who}`;
  const { code } = await stage.host.run([
    "sh",
    "-ec",
    `ip link show dev ${bridge} >/dev/null 2>&1 || { ip link add name ${bridge} type bridge
      ip addr add 10.86.0.1/24 dev ${bridge}; ip link set dev ${bridge} up; }
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
  const { lines, missing } = listingOf(stage.memory.references, folder);
  const before = await stage.before();
  const answer = await stage.person("import", who, lines);
  const after = await stage.look();
  stage.memory.imported(answer, missing);
  return lost(stage.memory, "an import", "", { before, after, answer }) ??
    importTruth(stage.memory, after, answer, missing);
}

/** The listing of the reference's folder for `import`, and the containers that it lacks. */
function listingOf(references: ReadonlyMap<string, string>, kind: (typeof FOLDERS)[number]) {
  const leases = [...references];
  const missing = kind === "one missing" ? leases.splice(0, 1).map(([id]) => id) : [];
  const [first] = leases;
  if (kind === "one added") leases.push(["ghost", "10.86.0.9"]);
  if (kind === "one doubled" && first !== undefined) leases.push([first[0], "10.86.0.8"]);
  const folder = "/var/lib/cni/networks/podnet";
  const lines = leases.map(([id, ip]) => `${folder}/${ip}:${id}\r\n${folder}/${ip}:eth0\r\n`);
  return { lines: `${folder}/last_reserved_ip.0:10.86.0.2\n${lines.join("")}`, missing };
}
