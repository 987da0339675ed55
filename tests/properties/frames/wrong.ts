import type { Focus } from "../frames.ts";
import { TRUE_IP } from "./kernel.ts";

/** A program without one of its protections, and the complaint that has to follow. */
export interface Wrong {
  /** The program is one that … */
  readonly name: string;
  /** A shell script that runs the program, its "$@". */
  readonly script: string;
  readonly kind: RegExp;
  /** A network in which the protection matters. */
  readonly focus: Focus;
  /** The case that shows it, if one is known. */
  readonly from?: number;
}

const GUARDED = { guard: true, isolated: false } as const;
const DUAL = { ...GUARDED, families: [4, 6] } as const;

/**
 * The program with another `ip`: `asked` is a `sed` script for each batch, `answered` one for each output, which hides
 * the change from the program.
 */
function ip(asked: string, answered = ""): string {
  const fake = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case " $* " in
*" -batch "*) sed '${asked}' | ${TRUE_IP} "$@" >/run/out.$$ ;;
*) ${TRUE_IP} "$@" >/run/out.$$ ;;
esac
status=$?
sed '${answered}' /run/out.$$; rm /run/out.$$
exit $status`;
  return `(flock 9; [ -x ${TRUE_IP} ] || {
  at=$(readlink -f /usr/bin/ip); mount -t tmpfs tmpfs /mnt; cat >/mnt/ip.fake <<'END'
${fake}
END
  chmod 755 /mnt/ip.fake; cp "$at" /mnt/ip.new; mv /mnt/ip.new ${TRUE_IP}; mount --bind /mnt/ip.fake "$at"
}) 9>/run/wrong.lock
exec "$@"`;
}

export const PROGRAMS: readonly Wrong[] = [
  {
    name: "does not lock a port after the guard is switched on",
    script: ip("s/ locked on//", 's/"locked":false/"locked":true/g'),
    kind: /port is not locked/,
    focus: { network: { guard: false }, moments: /switched on/ },
  },
  {
    name: "does not lock a port",
    script: ip("s/ locked on//", 's/"locked":false/"locked":true/g'),
    kind: /port is not locked/,
    focus: { network: GUARDED },
  },
  {
    name: "lets the bridge learn from a port",
    script: ip("s/ learning off//", 's/"learning":true/"learning":false/g'),
    kind: /port is not locked|learns from a guarded port/,
    focus: { network: GUARDED },
  },
  {
    name: "hands frames to reserved group addresses to the host",
    script: ip("s/ group_fwd_mask 65533//", 's/"group_fwd_mask":"0"/"group_fwd_mask":"0xfffd"/g'),
    kind: /reserved group address|on a port|elsewhere/,
    focus: { network: GUARDED },
    from: 1,
  },
  {
    name: "sets a port up before it is locked",
    script: ip("s/^\\(link add .*\\) type veth/\\1 up type veth/"),
    kind: /elsewhere|learns from a guarded port|from another MAC/,
    focus: {
      network: GUARDED,
      moments: /second interface/,
      frames: { from: "neighbour" },
    },
    from: 2,
  },
  {
    name: "puts a port back into its bridge while it is up",
    script: ip("/^link set dev av[0-9a-f]* down/d"),
    kind: /elsewhere|learns from a guarded port|from another MAC/,
    focus: { network: GUARDED, moments: /ports out/, frames: { from: "neighbour" } },
  },
  {
    name: "writes no static entry",
    script: ip("/^neigh [a-z]* any /d"),
    kind: /no static entry/,
    focus: { network: GUARDED },
  },
  {
    name: "pins no neighbour on the bridge",
    script: ip("/^neigh replace .* dev atomic0 nud permanent/d"),
    kind: /permanent neighbour|looks for a container/,
    focus: { network: GUARDED },
  },
  {
    name: "pins no link-local neighbour on the bridge",
    script: ip("/^neigh replace fe80.* dev atomic0 nud permanent/d"),
    kind: /link-local/,
    focus: { network: DUAL, frames: { claim: "neighbour link-local", from: "own" } },
  },
  {
    name: "pins no gateway in the container",
    script: ip("/^neigh replace \\(10.86.0.1\\|fd88::1\\) .* dev eth0/d"),
    kind: /gateway/,
    focus: { network: GUARDED },
  },
  {
    name: "does not hold the bridge's link-local address in the container",
    script: ip("/^neigh replace fe80.* dev eth0/d"),
    kind: /bridge's link-local address/,
    focus: { network: DUAL, frames: { claim: "gateway link-local", from: "own" } },
  },
  {
    name: "lets a container choose its link-local address",
    script: ip("s/ addrgenmode eui64//"),
    kind: /link-local/,
    focus: {
      network: { ...DUAL, randomLinkLocal: true },
      frames: { claim: "neighbour link-local", from: "own" },
    },
  },
  {
    name: "flushes neighbours after its DEL has released the lease",
    script: `"$@"; status=$?
if [ "$CNI_COMMAND" = DEL ]; then
  sleep 0.2; for it in 10.86.0.5 fd88::5; do ip neigh flush to $it dev atomic0 nud permanent; done
fi 2>/dev/null
exit $status`,
    kind: /permanent neighbour of a container is gone/,
    focus: { network: GUARDED, moments: /a DEL and an ADD/ },
  },
  {
    name: "trusts a container's own address in repair",
    script: `"$@"; status=$?
case "$*" in *repair*)
  mac=$(cat /sys/class/net/none/address 2>/dev/null; ip -n eve -o link show dev eth0 | sed 's/.*ether //; s/ .*//')
  ip -o link | sed -n 's/^[0-9]*: \\(av[^@]*\\)@.*alias podnet.eve.eth0.*/\\1/p' | while read -r port; do
    ip -B neigh replace any lladdr "$mac" nud noarp dev "$port"; done
esac >/dev/null 2>&1
exit $status`,
    kind: /elsewhere/,
    focus: { network: GUARDED, moments: /worn/ },
  },
  {
    name: "reports success for every CHECK",
    script: `[ "$CNI_COMMAND" != CHECK ] || { cat >/dev/null; exit 0; }; exec "$@"`,
    kind: /CHECK accepts/,
    focus: { network: GUARDED, moments: /ports out/ },
  },
];
