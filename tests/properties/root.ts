import { CONFIG, STATE_FOLDER } from "../integration/host.ts";
import type { Random } from "./random.ts";

/** Containers of the host. Each namespace has a second name here, so that the test can always look into it. */
export const CONTAINERS = ["k0", "k1", "k2", "k3"] as const;
export const KEEP = "/run/keep";

const STATE = `${STATE_FOLDER}/${CONFIG.name}.json`;
const SAVED = "/run/saved.json";

/** What a step is done to. */
export interface Target {
  readonly id: string;
  /** The name that the host veth has now. */
  readonly veth: string;
  readonly ip: string;
}

/** Something that root does by hand, and what of a DEL it makes hard. */
export interface Carelessness {
  readonly name: string;
  readonly script: (at: Target) => string;
  /** What is lost of all that tells whose a host veth is. */
  readonly takes?: "name" | "alias" | "lease";
}

const act = (
  name: string,
  script: Carelessness["script"],
  takes?: Carelessness["takes"],
): Carelessness => ({ name, script, ...(takes !== undefined && { takes }) });

const WITH_LINKS: readonly Carelessness[] = [
  act("renames a host veth", ({ id, veth }) => `ip link set dev ${veth} name x${id}`, "name"),
  act(
    "renames a host veth to one like the others",
    ({ id, veth }) => `ip link set dev ${veth} name av0000000000${id.charCodeAt(1)}0`,
    "name",
  ),
  act("deletes a host veth", ({ veth }) => `ip link del dev ${veth}`),
  act("takes a host veth out of the bridge", ({ veth }) => `ip link set dev ${veth} nomaster`),
  act(
    "puts a host veth into another bridge",
    ({ veth }) =>
      `ip link add name other0 type bridge 2>/dev/null; ip link set dev ${veth} master other0`,
  ),
  act("sets a host veth down", ({ veth }) => `ip link set dev ${veth} down`),
  act("clears an alias", ({ veth }) => `ip link set dev ${veth} alias ''`, "alias"),
  act(
    "writes an alias of its own",
    ({ veth }) => `ip link set dev ${veth} alias 'the web server'`,
    "alias",
  ),
  act(
    "changes a host veth's MAC",
    ({ veth }) => `ip link set dev ${veth} address 02:00:00:00:00:33`,
  ),
  act("deletes the bridge", () => `ip link del dev ${CONFIG.bridge}`),
  act("renames the bridge", () => `ip link set dev ${CONFIG.bridge} name old0`),
  act("sets the bridge down", () => `ip link set dev ${CONFIG.bridge} down`),
  act("flushes the bridge's addresses", () => `ip addr flush dev ${CONFIG.bridge}`),
  act(
    "changes the bridge's MAC",
    () => `ip link set dev ${CONFIG.bridge} address 02:00:00:00:00:44`,
  ),
];

const WITH_NAMESPACES: readonly Carelessness[] = [
  act("hides a namespace", ({ id }) => `umount /run/netns/${id} && rm /run/netns/${id}`),
  act(
    "renames a namespace",
    ({ id }) =>
      `touch /run/netns/moved-${id} && mount --bind /run/netns/${id} /run/netns/moved-${id} &&
     umount /run/netns/${id} && rm /run/netns/${id}`,
  ),
  act(
    "deletes a namespace and all that is in it",
    ({ id }) =>
      `umount /run/netns/*${id}; rm -f /run/netns/*${id}; umount ${KEEP}/${id}; rm ${KEEP}/${id}`,
  ),
];

/** `sed` on the state file, in place and by another inode, as an editor does it. */
const edit = (script: string) => `[ -f ${STATE} ] && sed -i '${script}' ${STATE}`;

const WITH_FILES: readonly Carelessness[] = [
  act("keeps a copy of the state", () => `cp -p ${STATE} ${SAVED}`),
  act("puts the older copy back", () => `[ -f ${SAVED} ] && cp -p ${SAVED} ${STATE}`, "lease"),
  act("puts the older copy back", () => `[ -f ${SAVED} ] && cp -p ${SAVED} ${STATE}`, "lease"),
  act("empties the state file", () => `[ -f ${STATE} ] && : >${STATE}`, "lease"),
  act("removes the state file", () => `rm -f ${STATE}`, "lease"),
  act("cuts the state file", () => `[ -f ${STATE} ] && truncate -s 90 ${STATE}`, "lease"),
  act(
    "takes a container out of the state",
    ({ id, ip }) =>
      edit(
        `s#"${id}/eth0":\\("[^"]*"\\|{[^}]*}\\),\\?##g; s#"${ip}":\\("[^"]*"\\|{[^}]*}\\),\\?##g; s#,}#}#g`,
      ),
    "lease",
  ),
  act(
    "takes a container out of one map",
    ({ id }) => edit(`s|"[0-9.]*":"${id}/eth0",\\?||; s|,}|}|g`),
    "lease",
  ),
  act(
    "writes another address into one map",
    ({ id }) => edit(`s|"${id}/eth0":"[^"]*"|"${id}/eth0":"10.88.0.5"|`),
    "lease",
  ),
  act("moves the cursor", () => edit(`s|"lastReserved":"[^"]*"|"lastReserved":"10.88.0.2"|`)),
  act("removes the lock", () => `rm -f ${STATE_FOLDER}/${CONFIG.name}.lock`),
  act(
    "removes all that is in the state folder",
    () => `rm -rf ${STATE_FOLDER}/* ${STATE_FOLDER}/.[a-z]*`,
    "lease",
  ),
  act(
    "opens the state folder to all",
    () => `chmod 777 ${STATE_FOLDER}; chmod 666 ${STATE_FOLDER}/*`,
  ),
];

export const CARELESS: readonly Carelessness[] = [
  ...WITH_LINKS,
  ...WITH_NAMESPACES,
  ...WITH_FILES,
];

export function someCarelessness(random: Random): string {
  return random.one(random.one([WITH_LINKS, WITH_LINKS, WITH_NAMESPACES, WITH_FILES, WITH_FILES]))
    .name;
}

/** Makes a container: a namespace that stays under its second name. */
export function containerScript(id: string): string {
  return `mkdir -p ${KEEP}; ip netns add ${id}; touch ${KEEP}/${id}
    mount --bind /run/netns/${id} ${KEEP}/${id}; ip -n ${id} link set dev lo up`;
}
