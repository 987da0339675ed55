import { STATE_FOLDER } from "../integration/host.ts";
import { DISK } from "./folder.ts";

/** Shell scripts for the namespace of the container `$id`. */
export const NAMESPACES: Readonly<Record<string, string>> = {
  hide: "umount /run/netns/$id && rm /run/netns/$id",
  rename: `touch /run/netns/moved-$id && mount --bind /run/netns/$id /run/netns/moved-$id &&
    umount /run/netns/$id && rm /run/netns/$id`,
  delete: `umount /run/netns/*$id; rm -f /run/netns/*$id; umount /run/keep/$id; rm /run/keep/$id`,
};
export const HOST_OPERATIONS: Readonly<Record<string, string>> = {
  reboot: `for it in $(ip -o link show | sed 's/^[0-9]*: //; s/[@:].*//'); do
    case $it in lo) ;; *) ip link del dev "$it" ;; esac; done`,
};

/** Shell scripts that make a veth pair in the container. `$in` enters it; the rest describes another container. */
export const PAIRS: Readonly<Record<string, string>> = {
  "with the names of another attachment": `$in ip link add name $veth type veth peer name net1
    $in ip link set dev $veth alias "$alias"; $in ip addr add $other/24 dev net1`,
  "called eth0": `$in ip link add name eth0 type veth peer name if7
    $in ip addr add $other/24 dev eth0; $in ip link set dev eth0 up; $in ip link set dev if7 up`,
};

/**
 * Creates the containers: each namespace has a second name, so that it can always be entered. `/run/keep/nested` is a namespace
 * without a name below /run/netns.
 */
export function containersScript(ids: readonly string[]): string {
  const of = (id: string) =>
    `ip netns add ${id}; touch /run/keep/${id}; mount --bind /run/netns/${id} /run/keep/${id}
    ip -n ${id} link set dev lo up`;
  // ext4 with a journal reuses an inode number at once, a tmpfs does not. Only root may mount it.
  return `mkdir -p /run/keep ${DISK}; ip netns add elsewhere
    touch /run/keep/nested; unshare --net=/run/keep/nested true
    ${ids.map(of).join("\n")}
    truncate -s 8M /run/image; mkfs.ext4 -q /run/image
    mount -o loop /run/image ${DISK} 2>/dev/null || mount -t tmpfs tmpfs ${DISK}
    mkdir -p -m 700 ${STATE_FOLDER}/.deno ${DISK}/state/.deno; chmod 700 ${DISK}/state
    mount --bind ${STATE_FOLDER}/.deno ${DISK}/state/.deno
    mount --rbind ${DISK}/state ${STATE_FOLDER}`;
}
