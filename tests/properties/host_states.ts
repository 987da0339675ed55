import { CONFIG, type Json, STATE_FOLDER } from "../integration/host.ts";
import { untilSh } from "../until.ts";
import { holdingLock } from "../integration/lock_holder.ts";

/** A state of the host before an ADD. */
export interface HostState {
  readonly name: string;
  /** Containers that are attached before, under the usual configuration with the keys of `earlier`. */
  readonly attached?: readonly string[];
  readonly earlier?: Json;
  /** A shell script that runs after that. */
  readonly given?: string;
  /** A command that starts the program. */
  readonly under?: readonly string[];
  /** The container's namespace, if it is not the usual one. */
  readonly netns?: string;
  /** An ADD waits for it for an unknown time: `doctor` has to name it, as a warning or an error. */
  readonly waits?: RegExp;
  /** Whether an ADD fails shows only when a bridge is created; its details match this. `doctor` has to warn. */
  readonly suspected?: { readonly details: RegExp; readonly warning: RegExp };
  /** An ADD in the usual subnet can't see it and works; STATUS refuses and `doctor` warns, with these messages. */
  readonly statusRefuses?: RegExp;
  /** `doctor` reports it as an error too, although the ADD works. */
  readonly doctorRefuses?: true;
}

const STATE = `${STATE_FOLDER}/${CONFIG.name}.json`;
const LOCK = `${STATE_FOLDER}/${CONFIG.name}.lock`;
const BRIDGE = CONFIG.bridge;
const NO_IPV6 = "for it in all default; do echo 1 >/proc/sys/net/ipv6/conf/$it/disable_ipv6; done";
const THREE = { ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };

/** An empty folder is mounted above it, so the machine's own files stay untouched. */
const GONE = `umount ${STATE_FOLDER}; mount -t tmpfs tmpfs /var/lib`;
/** Represents the file of a newer program. */
const NEWER = `printf '{"schema":99,"all":"else"}' >${STATE}`;
const bridgeOf = (more: string) => `ip link add name ${BRIDGE} type bridge; ${more}`;
/** Deletes the veths from the host's side, as a reboot does; the leases stay. */
const REBOOT = `for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//')
  do ip link del dev $it || :; done`;
/** A copy of a folder without the files that the script removes. */
const overlay = (folder: string, script: string) =>
  `mkdir -p /run/over/up /run/over/work && mount -t tmpfs tmpfs /run/over && mkdir /run/over/up /run/over/work
  mount -t overlay overlay -o lowerdir=${folder},upperdir=/run/over/up,workdir=/run/over/work ${folder}
  ${script}`;

const BRIDGES: readonly HostState[] = [
  { name: "the bridge exists as configured", attached: ["c0"] },
  { name: "the bridge has no address", given: bridgeOf("") },
  {
    name: "the bridge has another address of the subnet",
    given: bridgeOf(`ip addr add 10.86.0.9/24 dev ${BRIDGE}`),
  },
  {
    name: "the bridge has another address",
    given: bridgeOf(`ip addr add 192.0.2.1/24 dev ${BRIDGE}`),
  },
  {
    name: "the bridge has the address with another prefix length",
    given: bridgeOf(`ip addr add 10.86.0.1/16 dev ${BRIDGE}`),
  },
  { name: "the bridge is a veth", given: `ip link add name ${BRIDGE} type veth peer name other` },
  {
    name: "the bridge is a port of another bridge",
    given: `ip link add name up0 type bridge; ip link add name ${BRIDGE} type veth peer name other
      ip link set dev ${BRIDGE} master up0`,
  },
  {
    name: "the bridge is full",
    given: bridgeOf(`for it in $(seq 512); do
      echo link add name a$it master ${BRIDGE} type veth peer name b$it
      echo link set dev b$it master ${BRIDGE}; done | ip -force -batch - 2>/dev/null || :`),
  },
  {
    name: "the bridge has another MTU",
    given: bridgeOf(`ip link set dev ${BRIDGE} mtu 9000`),
  },
  {
    name: "the gateway's address is on another interface",
    given: `ip link add name up0 type bridge; ip addr add 10.86.0.1/24 dev up0`,
    statusRefuses: /carries it too/,
    doctorRefuses: true,
  },
];

const FOLDERS: readonly HostState[] = [
  { name: "the state folder is missing", given: GONE },
  { name: "the state folder is read-only", given: `mount -o remount,ro ${STATE_FOLDER}` },
  {
    name: "the state folder is read-only, with a state",
    attached: ["c0"],
    given: `mount -o remount,ro ${STATE_FOLDER}`,
  },
  {
    name: "the disk has no inode left",
    given: `mount -o remount,nr_inodes=60 ${STATE_FOLDER}
      for it in $(seq 99); do touch ${STATE_FOLDER}/it$it 2>/dev/null || break; done`,
  },
  {
    name: "the state folder is a symbolic link",
    given: `${GONE}; mkdir /run/x; ln -s /run/x ${STATE_FOLDER}`,
  },
  {
    name: "the state folder is a file",
    given: `${GONE}; : >${STATE_FOLDER}`,
  },
];

const STATES: readonly HostState[] = [
  { name: "the state is empty, no container", given: `: >${STATE}` },
  { name: "the state is garbage, no container", given: `echo garbage >${STATE}` },
  {
    name: "the state is missing, a live container without a name",
    attached: ["c0"],
    given: `rm ${STATE}; nsenter --net=/run/netns/c0 sleep 20 </dev/null >/dev/null 2>&1 &
      ${untilSh('[ -n "$(ip netns pids c0)" ]')}; umount /run/netns/c0; rm /run/netns/c0`,
  },
  {
    name: "the state is garbage after a reboot",
    attached: ["c0"],
    given: `${REBOOT}; echo x >${STATE}`,
  },
  { name: "the state is of a newer schema", given: NEWER },
  { name: "the state is a FIFO", given: `mkfifo ${STATE}` },
  { name: "the lock is a FIFO", given: `mkfifo ${LOCK}` },
  {
    name: "the lock is held for longer than an ADD waits",
    given: holdingLock(15),
    waits: /lock/,
  },
  {
    name: "the lock is held for longer than doctor looks",
    given: holdingLock(5),
    waits: /lock/,
  },
];

const POOLS: readonly HostState[] = [
  { name: "the pool is full", attached: ["c0", "c2"], earlier: THREE },
  {
    name: "the pool is full of stale leases",
    attached: ["c0", "c2"],
    earlier: THREE,
    given: REBOOT,
  },
  {
    name: "the subnet was changed under a live container",
    attached: ["c0"],
    earlier: { subnet: "10.77.0.0/24", gateway: "10.77.0.1" },
    given: `ip addr flush dev ${BRIDGE}`,
  },
  {
    name: "the subnet was changed, the lease is stale",
    attached: ["c0"],
    earlier: { subnet: "10.77.0.0/24", gateway: "10.77.0.1" },
    given: `${REBOOT}; ip link del dev ${BRIDGE}`,
  },
  {
    name: "the gateway was changed to a live container's address",
    attached: ["c0"],
    earlier: { gateway: "10.86.0.7", ipam: { rangeStart: "10.86.0.1", rangeEnd: "10.86.0.1" } },
    given: `ip addr flush dev ${BRIDGE}`,
  },
  {
    name: "another network has the same subnet",
    attached: ["c0"],
    earlier: { name: "other", bridge: "other0" },
    statusRefuses: /network "other" allocates it too/,
    doctorRefuses: true,
  },
  {
    name: "another plugin's bridge carries the subnet",
    given: "ip link add cni0 type bridge; ip addr add 10.86.0.1/24 dev cni0; ip link set cni0 up",
    statusRefuses: /"cni0" carries it too/,
    doctorRefuses: true,
  },
  {
    name: "another network has the same bridge and subnet",
    attached: ["c0"],
    earlier: { name: "other" },
    statusRefuses: /network "other" allocates it too/,
  },
];

const PROGRAMS: readonly HostState[] = [
  { name: "ip is missing", given: overlay("/usr/bin", "rm /usr/bin/ip") },
  {
    name: "ip comes from BusyBox",
    given: `cp "$(command -v busybox)" /run/ip; mount --bind /run/ip "$(readlink -f /usr/bin/ip)"`,
  },
  {
    name: "ip says no to everything",
    given:
      `printf '#!/bin/sh\\nexit 2\\n' >/run/ip; chmod 755 /run/ip; mount --bind /run/ip "$(readlink -f /usr/bin/ip)"`,
  },
  {
    name: "ip may not be run",
    given: `: >/run/ip; mount --bind /run/ip "$(readlink -f /usr/bin/ip)"`,
  },
  {
    name: "/run/netns is missing",
    given: `mkdir /run/other; : >/run/other/c1; unshare --net=/run/other/c1 true
      for it in c0 c1 c2; do ip netns del $it 2>/dev/null || :; done; umount -l /run/netns; rmdir /run/netns`,
    netns: "/run/other/c1",
  },
  {
    name: "without CAP_NET_ADMIN",
    under: ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
  },
  {
    name: "without CAP_SYS_ADMIN",
    under: ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
  },
  {
    name: "IPv6 is disabled",
    given: `ip link set dev lo up; ${NO_IPV6}`,
    suspected: { details: /IPv6 is disabled on this device/, warning: /"lo" has no IPv6 address/ },
  },
  {
    name: "IPv6 is disabled, and the bridge exists",
    attached: ["c0"],
    given: NO_IPV6,
  },
];

export const PLAIN: HostState = { name: "a healthy host" };

export const HOST_STATES: readonly HostState[] = [
  PLAIN,
  ...BRIDGES,
  ...FOLDERS,
  ...STATES,
  ...POOLS,
  ...PROGRAMS,
];
