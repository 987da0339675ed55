import type { ErrorCode } from "../base/errors.ts";

/** The meaning of an error code. An error's message names the values; this text fits every error of the code. */
export interface CodeMeaning {
  readonly meaning: string;
  readonly cause: string;
  /** The steps in the order in which to try them. Commands are in backquotes. */
  readonly cure: readonly string[];
}

/** Explains the word CONFIGURATION in remedies. help, docs/errors.md and README.md contain these lines. */
export const CONFIGURATION: readonly string[] = [
  "`CONFIGURATION` is the network's file below /etc/cni/net.d as it is, a .conflist of several plugins too: `atomicni repair < /etc/cni/net.d/10-atomicni.conflist`",
  "Which file that is, for a network called podnet: `grep -l '\"podnet\"' /etc/cni/net.d/*`",
];

/** The text without backquotes, for a terminal. */
export function plain(text: string): string {
  return text.replaceAll("`", "");
}

/** The table of codes. `atomicni explain CODE` and docs/errors.md print it. */
export const CODES: Readonly<Record<ErrorCode, CodeMeaning>> = {
  1: {
    meaning: "The configuration's version of the CNI specification is not one for this.",
    cause:
      "`cniVersion` is none of 0.1.0 to 1.1.0, or older than the command: CHECK begins with 0.4.0, GC and STATUS with 1.1.0.",
    cure: ["Set `cniVersion` to one that `atomicni version` lists."],
  },
  2: {
    meaning: "A key of the configuration asks for what this plugin does not do.",
    cause:
      "The key belongs to the reference bridge plugin (`ipMasq`, `vlan`, …) or to an `ipam.type` other than host-local, or the kernel or `ip` is too old for it.",
    cure: ["Do what `details` says instead; it names the key and what replaces it."],
  },
  3: {
    meaning: "CHECK was asked about an attachment that there is not.",
    cause: "It was never added, or is removed already.",
    cure: [
      "Nothing has to be cleaned up. If the container should have a network, start it again.",
      "See what there is: `atomicni list`.",
    ],
  },
  4: {
    meaning: "A `CNI_*` variable is missing or wrong.",
    cause: "The container runtime sets them; a person who runs the plugin by hand forgets one.",
    cure: ["Set the variable that the message names, in the form that it names."],
  },
  5: {
    meaning: "The state folder or a file in it, or stdin, can't be read or written.",
    cause:
      "The disk is full or mounted read-only, the folder or the lock file is not root's, something that is no regular file has the name of the lock, or a runtime keeps stdin open.",
    cure: [
      "Look at the disk: `df /var/lib/atomicni`, `mount`.",
      "Look at the folder: `ls -la /var/lib/atomicni`. It is root's, mode 0700, its files 0600.",
      "What has the name of the lock can be moved away; it is made anew. So can a folder that is not root's, and then: `atomicni repair < CONFIGURATION`.",
    ],
  },
  6: {
    meaning: "What came on stdin is no network configuration.",
    cause: "It is empty, not UTF-8, not JSON (runtimes take no comments), or no object.",
    cure: ["Find the place: `atomicni doctor < CONFIGURATION`."],
  },
  7: {
    meaning: "A value in the configuration is not what it must be.",
    cause: "A key is missing, misspelt, or its value is outside of what it may be.",
    cure: [
      "Write what the message says is wanted.",
      "Check the rest of the file: `atomicni doctor < CONFIGURATION`.",
    ],
  },
  8: {
    meaning: "The container's network namespace can't be used.",
    cause:
      "The path in `CNI_NETNS` is no network namespace (the container is gone), is the host's own, or `ip` can enter none because /run/netns is missing or CAP_SYS_ADMIN is.",
    cure: [
      "Is it there? `ls -l` the path that the message names.",
      "Can any be entered? `mkdir -p /run/netns`, then `atomicni doctor < CONFIGURATION`.",
    ],
  },
  11: {
    meaning: "It took too long, or the run was told to stop. Trying again may work.",
    cause:
      "Another run holds the network's lock, the kernel's network lock is held, another operation on the same attachment is at work, or the runtime ended this one.",
    cure: [
      "Try again.",
      "Who has the lock? The message names the last that left word; who has it now: `fuser -v /var/lib/atomicni/NETWORK.lock`.",
      "Does `ip link` answer? If not, see `dmesg`.",
    ],
  },
  50: {
    meaning: "STATUS: an ADD could not be served now, or would give what another network gives.",
    cause:
      "The message says why: no free address, another network's addresses, the bridge, the state, or `ip`.",
    cure: ["See all that is in the way: `atomicni doctor < CONFIGURATION`."],
  },
  100: {
    meaning: "`ip` could not be run, or said no.",
    cause:
      "iproute2 is not installed or is another program, the kernel refused, or a route that was asked for is there already. `details` has the command, its exit status and what it said.",
    cure: [
      "Is it there? `ip -V`; if not, install iproute2 (`apt install iproute2`, `apk add iproute2`).",
      "Run the command of `details` by hand and read what it says; `dmesg` may say more.",
    ],
  },
  101: {
    meaning: "No address is free.",
    cause: "Every address of the range belongs to a container whose veth is there.",
    cure: [
      "See whose: `atomicni list NETWORK`.",
      "Remove containers, or widen `ipam.rangeStart` and `ipam.rangeEnd` inside the subnet.",
    ],
  },
  102: {
    meaning: "The address asked for can't be given.",
    cause:
      "`IP` in `CNI_ARGS`, `args.cni.ips` or `runtimeConfig.ips` asks for one that is outside, reserved, or held by a live container; its MAC, or one asked for, is the bridge's or another container's; or an import finds it held.",
    cure: [
      "See who holds it: `atomicni explain ADDRESS`.",
      "Ask for another, or for none.",
    ],
  },
  103: {
    meaning: "The container has an interface of that name already, or its host veth stands.",
    cause: "The attachment was added before, or another plugin made the interface.",
    cure: [
      "DEL the attachment first, or let the runtime choose another interface name (`CNI_IFNAME`).",
    ],
  },
  104: {
    meaning: "The state file is damaged, so no address is given.",
    cause:
      "It was edited, cut off by something else than this program, restored from elsewhere or removed, belongs to another user, or the subnet was changed, while containers had addresses.",
    cure: [
      "Rebuild it from what the kernel has: `atomicni repair < CONFIGURATION`.",
      "If the subnet was changed: set the old one back, or give new containers another network, with a name, a bridge and a subnet of its own that has none of the old addresses.",
    ],
  },
  105: {
    meaning: "The bridge can't be used as configured.",
    cause:
      "An interface of that name is no bridge, carries another address, or has the most ports that the kernel allows.",
    cure: [
      "Look at it: `ip -d addr show dev BRIDGE`.",
      "Name another bridge, set `gateway` and `subnet` to its address, or remove that address.",
    ],
  },
  106: {
    meaning: "CHECK found the attachment other than ADD left it.",
    cause: "Somebody changed an interface, an address or a route; the message has each difference.",
    cure: [
      "Set back what was changed, or start the container again.",
      "A lease or a guard that is missing: `atomicni repair < CONFIGURATION`.",
    ],
  },
  199: {
    meaning: "A bug in this program.",
    cause: "Something happened that nobody thought of.",
    cure: ["Report it with the whole error document: `details` says where it happened."],
  },
};
