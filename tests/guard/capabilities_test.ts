/** What a container can change on the host's side, by its capabilities. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { GUARDED } from "../integration/guarded.ts";
import { type Host, hostTest } from "../integration/host.ts";
import { recordFinding } from "./finding.ts";
import { untilSh } from "../until.ts";

const SCRIPT = fromFileUrl(new URL("netlink.py", import.meta.url));

const only = (capability: string): string[] => [
  "setpriv",
  "--bounding-set",
  `-all,+${capability}`,
  "--inh-caps",
  `-all,+${capability}`,
];

/** Starts a process with its own network namespace, with or without its own user namespace; writes its PID to /run/mallory. */
function holder(inUserNamespace: boolean): string {
  return `unshare ${
    inUserNamespace ? "-Ur" : ""
  } -n sh -c 'echo $$ >/run/mallory; exec sleep 600' </dev/null >/dev/null 2>&1 &
  ${untilSh("ip -n ../../../proc/$(cat /run/mallory)/ns/net link >/run/mallory.log 2>&1")}`;
}

const ROWS = [
  { who: "CAP_NET_RAW alone", capability: "net_raw", inUserNamespace: false, deletes: false },
  {
    who: "CAP_NET_ADMIN in a user namespace",
    capability: "net_admin",
    inUserNamespace: true,
    deletes: false,
  },
  {
    who: "CAP_NET_ADMIN without one",
    capability: "net_admin",
    inUserNamespace: false,
    deletes: true,
  },
] as const;

async function hasLink(host: Host, name: string): Promise<boolean> {
  return (await host.links()).includes(name);
}

for (const { who, capability, inUserNamespace, deletes } of ROWS) {
  const what = deletes ? "can" : "can't";
  hostTest(`capabilities: ${who} ${what} delete a neighbour's host veth`, async (host) => {
    await host.containers("bob");
    const [, { name: victim }] = (await host.add({ id: "bob", config: GUARDED })).interfaces;
    await host.sh(holder(inUserNamespace));
    const pid = (await host.sh("cat /run/mallory")).trim();
    await host.add({ id: "mallory", netns: `/proc/${pid}/ns/net`, config: GUARDED });
    const user = inUserNamespace ? ["-U", "--preserve-credentials"] : [];
    const within = ["nsenter", "-t", pid, ...user, "-n", "--"];
    const [link] = JSON.parse(
      (await host.run([...within, "ip", "-j", "link", "show", "dev", "eth0"])).stdout,
    );
    const attack = ["python3", SCRIPT, String(link.link_netnsid), victim];
    const { stdout, stderr } = await host.run([...within, ...only(capability), ...attack]);
    const left = await hasLink(host, victim);
    await host.sh(`kill -9 ${pid}`);
    assertEquals([left, stdout.trim() === "deleted"], [!deletes, deletes], `${stdout} ${stderr}`);
    assert(stdout.trim() !== "", stderr);
    recordFinding({
      measure: `${who}: delete a neighbour's host veth from inside`,
      value: stdout.trim(),
    });
  });
}
