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
  "`CONFIGURATION` is the network's file in /etc/cni/net.d, as it is; a .conflist with several plugins works too: `atomicni repair < /etc/cni/net.d/10-atomicni.conflist`",
  "Find the file of a network called podnet: `grep -l '\"podnet\"' /etc/cni/net.d/*`",
];

/** The text without backquotes, for a terminal. */
export function withoutBackquotes(text: string): string {
  return text.replaceAll("`", "");
}

/** The table of codes. `atomicni explain CODE` and docs/errors.md print it. */
export const CODES: Readonly<Record<ErrorCode, CodeMeaning>> = {
  1: {
    meaning: "The plugin or the command does not support the configuration's CNI version.",
    cause:
      "`cniVersion` is not one of 0.1.0 to 1.1.0, or it is older than the command: CHECK needs 0.4.0 or newer, GC and STATUS need 1.1.0.",
    cure: ["Set `cniVersion` to one that `atomicni version` lists."],
  },
  2: {
    meaning: "A key of the configuration requests a feature that this plugin does not have.",
    cause:
      "The key belongs to the reference bridge plugin (`ipMasq`, `vlan`, …) or to an `ipam.type` other than host-local. Or the kernel or `ip` is too old for the key.",
    cure: ["Follow `details`, which names the key and its replacement."],
  },
  3: {
    meaning: "CHECK names an attachment that does not exist.",
    cause: "It was never added, or it was removed.",
    cure: [
      "Nothing has to be cleaned up. If the container needs the network, start it again.",
      "List the attachments: `atomicni list`.",
    ],
  },
  4: {
    meaning: "A `CNI_*` variable is missing or wrong.",
    cause: "The container runtime sets them. A manual call may have left one out.",
    cure: ["Set the variable in the message to a value of the form in the message."],
  },
  5: {
    meaning: "The state folder or a file in it, or stdin, can't be read or written.",
    cause:
      "The disk is full or mounted read-only, another user owns the folder or the lock file, the lock's path is not a regular file, or a runtime keeps stdin open.",
    cure: [
      "Check the disk: `df /var/lib/atomicni`, `mount`.",
      "Check the folder: `ls -la /var/lib/atomicni`. It must belong to root, with mode 0700; its files have mode 0600.",
      "If the lock's path is not a regular file of root, move it away: the next run creates the lock.",
      "If another user owns the folder, move it away, and rebuild the state: `atomicni repair < CONFIGURATION`.",
    ],
  },
  6: {
    meaning: "stdin is not a network configuration.",
    cause: "It is empty, not UTF-8, not JSON (runtimes accept no comments), or not a JSON object.",
    cure: ["Find the line: `atomicni doctor < CONFIGURATION`."],
  },
  7: {
    meaning: "A value in the configuration is invalid.",
    cause: "A key is missing or misspelt, or its value is not allowed.",
    cure: [
      "Write a value of the form that the message wants.",
      "Check the rest of the file: `atomicni doctor < CONFIGURATION`.",
    ],
  },
  8: {
    meaning: "The container's network namespace can't be used.",
    cause:
      "The path in `CNI_NETNS` is not a network namespace (the container is gone), or it is the namespace of the host. Or `ip` can't enter namespaces, because /run/netns or CAP_SYS_ADMIN is missing.",
    cure: [
      "Check that it exists: `ls -l` with the path in the message.",
      "Check that `ip` can enter namespaces: `mkdir -p /run/netns`, then `atomicni doctor < CONFIGURATION`.",
    ],
  },
  11: {
    meaning: "The run timed out or was stopped. A retry may work.",
    cause:
      "Another run holds the network's lock, the kernel's network lock is held, another operation on the same attachment is in progress, or the runtime stopped this one.",
    cure: [
      "Try again.",
      "The message names the last recorded holder of the lock. See its present holder: `fuser -v /var/lib/atomicni/NETWORK.lock`.",
      "Check that `ip link` answers. If not, see `dmesg`.",
    ],
  },
  50: {
    meaning: "STATUS: an ADD would fail now, or would allocate addresses of another network.",
    cause:
      "The message has the reason: no free address, another network's addresses, the bridge, the state, or `ip`.",
    cure: ["See every reason: `atomicni doctor < CONFIGURATION`."],
  },
  100: {
    meaning: "`ip` could not be run, or it failed.",
    cause:
      "iproute2 is not installed or is another program, the kernel refused, or a requested route exists already. `details` has the command, its exit status and its output.",
    cure: [
      "Check that it is installed: `ip -V`. If not, install iproute2 (`apt install iproute2`, `apk add iproute2`).",
      "Run the command in `details` by hand and read its output; `dmesg` may have more.",
    ],
  },
  101: {
    meaning: "No address is free.",
    cause: "Every address of the range belongs to a container with a host veth.",
    cure: [
      "See the containers: `atomicni list NETWORK`.",
      "Remove containers, or widen `ipam.rangeStart` and `ipam.rangeEnd` inside the subnet.",
    ],
  },
  102: {
    meaning: "The requested address can't be allocated.",
    cause:
      "`IP` in `CNI_ARGS`, `args.cni.ips` or `runtimeConfig.ips` requests an address outside the range, a reserved address, or an address of a live container. Or the MAC of the address, or a requested MAC, belongs to the bridge or to another container. Or an import finds the address held.",
    cure: [
      "See its holder: `atomicni explain ADDRESS`.",
      "Request another address, or none.",
    ],
  },
  103: {
    meaning: "The container has an interface of that name already, or its host veth exists.",
    cause: "The attachment was added before, or another plugin made the interface.",
    cure: [
      "DEL the attachment first, or let the runtime choose another interface name (`CNI_IFNAME`).",
    ],
  },
  104: {
    meaning: "The state file is damaged, so no address is allocated.",
    cause:
      "Another program edited, truncated, replaced or removed the file, or another user owns it. Or the subnet was changed while containers had addresses.",
    cure: [
      "Rebuild it from the kernel: `atomicni repair < CONFIGURATION`.",
      "If the subnet was changed, restore the old one. Or use another network for new containers, with its own name and bridge and a subnet without the old addresses.",
    ],
  },
  105: {
    meaning: "The bridge can't be used as configured.",
    cause:
      "An interface of that name is not a bridge, or the bridge has another address or the maximum number of ports.",
    cure: [
      "Show it: `ip -d addr show dev BRIDGE`.",
      "Name another bridge, set `gateway` and `subnet` to its address, or remove that address.",
    ],
  },
  106: {
    meaning: "CHECK found that the attachment differs from the result of its ADD.",
    cause: "An interface, an address or a route was changed; the message has each difference.",
    cure: [
      "Undo the change, or start the container again.",
      "Restore a missing lease or guard: `atomicni repair < CONFIGURATION`.",
    ],
  },
  199: {
    meaning: "A bug in this program.",
    cause: "The program met a condition that it does not handle.",
    cure: ["Report it with the whole error document: `details` has the place in the source."],
  },
};
