import type { ErrorCode } from "../base/errors.ts";

/** Explains the word CONFIGURATION in remedies. help, docs/errors.md and README.md contain these lines. */
export const CONFIGURATION: readonly string[] = [
  "`CONFIGURATION` is the network's file in /etc/cni/net.d, as it is; a .conflist with several plugins works too: `atomicni repair < /etc/cni/net.d/10-atomicni.conflist`",
  "Find the file of a network called podnet: `grep -l '\"podnet\"' /etc/cni/net.d/*`",
];

/** The text without backquotes, for a terminal. */
export function withoutBackquotes(text: string): string {
  return text.replaceAll("`", "");
}

/** Text that fits every error of a code; the error's message names the values. Commands are in backquotes. */
type CodeRow = readonly [meaning: string, cause: string, ...steps: string[]];

/** The table of codes, with the steps in the order in which to try them. `explain` and docs/errors.md print it. */
export const CODES: Readonly<Record<ErrorCode, CodeRow>> = {
  1: [
    "The plugin or the command does not support the configuration's CNI version.",
    "`cniVersion` is not one of 0.1.0 to 1.1.0, or it is older than the command: CHECK needs 0.4.0 or newer, GC and STATUS need 1.1.0.",
    "Set `cniVersion` to one that `atomicni version` lists.",
  ],
  2: [
    "A key of the configuration requests a feature that this plugin does not have.",
    "The key belongs to the reference bridge plugin (`ipMasq`, `vlan`, …) or to an `ipam.type` other than host-local. Or the kernel or `ip` is too old for the key.",
    "Follow `details`, which names the key and its replacement.",
  ],
  3: [
    "CHECK names an attachment that does not exist.",
    "It was never added, or it was removed.",
    "Nothing has to be cleaned up. If the container needs the network, start it again.",
    "List the attachments: `atomicni list`.",
  ],
  4: [
    "A `CNI_*` variable is missing or wrong.",
    "The container runtime sets them. A manual call may have left one out.",
    "Set the variable in the message to a value of the form in the message.",
  ],
  5: [
    "The state folder or a file in it, or stdin, can't be read or written.",
    "The disk is full or mounted read-only, another user owns the folder or the lock file, the lock's path is not a regular file, or a runtime keeps stdin open.",
    "Check the disk: `df /var/lib/atomicni`, `mount`.",
    "Check the folder: `ls -la /var/lib/atomicni`. It must belong to root, with mode 0700; its files have mode 0600.",
    "If the lock's path is not a regular file of root, move it away: the next run creates the lock.",
    "If another user owns the folder, move it away, and rebuild the state: `atomicni repair < CONFIGURATION`.",
  ],
  6: [
    "stdin is not a network configuration.",
    "It is empty, not UTF-8, not JSON (runtimes accept no comments), or not a JSON object.",
    "Find the line: `atomicni doctor < CONFIGURATION`.",
  ],
  7: [
    "A value in the configuration is invalid.",
    "A key is missing or misspelt, or its value is not allowed.",
    "Write a value of the form that the message wants.",
    "Check the rest of the file: `atomicni doctor < CONFIGURATION`.",
  ],
  8: [
    "The container's network namespace can't be used.",
    "The path in `CNI_NETNS` is not a network namespace (the container is gone), or it is the namespace of the host. Or `ip` can't enter namespaces, because /run/netns or CAP_SYS_ADMIN is missing.",
    "Check that it exists: `ls -l` with the path in the message.",
    "Check that `ip` can enter namespaces: `mkdir -p /run/netns`, then `atomicni doctor < CONFIGURATION`.",
  ],
  11: [
    "The run timed out or was stopped. A retry may work.",
    "Another run holds the network's lock, the kernel's network lock is held, another operation on the same attachment is in progress, or the runtime stopped this one.",
    "Try again.",
    "The message names the last recorded holder of the lock. See its present holder: `fuser -v /var/lib/atomicni/NETWORK.lock`.",
    "Check that `ip link` answers. If not, see `dmesg`.",
  ],
  50: [
    "STATUS: an ADD would fail now, or would allocate addresses of another network.",
    "The message has the reason: no free address, another network's addresses, the bridge, the state, or `ip`.",
    "See every reason: `atomicni doctor < CONFIGURATION`.",
  ],
  100: [
    "`ip` could not be run, or it failed.",
    "iproute2 is not installed or is another program, the kernel refused, or a requested route exists already. `details` has the command, its exit status and its output.",
    "Check that it is installed: `ip -V`. If not, install iproute2 (`apt install iproute2`, `apk add iproute2`).",
    "Run the command in `details` by hand and read its output; `dmesg` may have more.",
  ],
  101: [
    "No address is free.",
    "Every address of the range belongs to a container with a host veth.",
    "See the containers: `atomicni list NETWORK`.",
    "Remove containers, or widen `ipam.rangeStart` and `ipam.rangeEnd` inside the subnet.",
  ],
  102: [
    "The requested address can't be allocated.",
    "`IP` in `CNI_ARGS`, `args.cni.ips` or `runtimeConfig.ips` requests an address outside the range, a reserved address, or an address of a live container. Or the MAC of the address, or a requested MAC, belongs to the bridge or to another container. Or an import finds the address held.",
    "See its holder: `atomicni explain ADDRESS`.",
    "Request another address, or none.",
  ],
  103: [
    "The container has an interface of that name already, or its host veth exists.",
    "The attachment was added before, or another plugin made the interface.",
    "DEL the attachment first, or let the runtime choose another interface name (`CNI_IFNAME`).",
  ],
  104: [
    "The state file is damaged, so no address is allocated.",
    "Another program edited, truncated, replaced or removed the file, or another user owns it. Or the subnet was changed while containers had addresses.",
    "Rebuild it from the kernel: `atomicni repair < CONFIGURATION`.",
    "If the subnet was changed under live containers, restore the old one. Or use another network for new containers, with its own name and bridge and a subnet without the old addresses.",
  ],
  105: [
    "The bridge can't be used as configured.",
    "An interface of that name is not a bridge, or the bridge has another address or the maximum number of ports.",
    "Show it: `ip -d addr show dev BRIDGE`.",
    "Name another bridge, set `gateway` and `subnet` to its address, or remove that address.",
  ],
  106: [
    "CHECK found that the attachment differs from the result of its ADD.",
    "An interface, an address or a route was changed; the message has each difference.",
    "Undo the change, or start the container again.",
    "Restore a missing lease or guard: `atomicni repair < CONFIGURATION`.",
  ],
  199: [
    "A bug in this program.",
    "The program met a condition that it does not handle.",
    "Report it with the whole error document: `details` has the place in the source.",
  ],
};
