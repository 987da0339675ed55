import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Json } from "../integration/host.ts";
import { edit, type Life } from "./life.ts";
import { lifeTest } from "./tested_life.ts";

const PAGE = new URL("../../docs/kubernetes-moving.md", import.meta.url);
const SETTING = {
  suite: "trixie",
  uplink: "eth0",
  service: "127.0.0.1",
  ranges: ["10.244.3.0/24"],
} as const;
/** flannel's network on a node, as its plugin passes it to its delegate `bridge`. */
const DELEGATE = {
  cniVersion: "1.0.0",
  name: "cbr0",
  type: "bridge",
  bridge: "cni0",
  isGateway: true,
  hairpinMode: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.244.3.0/24" }]],
    routes: [{ dst: "10.244.0.0/16" }, { dst: "0.0.0.0/0" }],
  },
};

/** The commands of a section, without the explanation that follows a command after three blanks. */
async function commandsOf(heading: string): Promise<string[]> {
  const [, section = ""] = (await Deno.readTextFile(PAGE)).split(`## ${heading}\n`);
  const [, block = ""] = /^```text\n([\s\S]*?)^```/m.exec(section.split("\n## ")[0] ?? "") ?? [];
  const lines = block.trimEnd().split("\n").map((line) =>
    line.replace(/^# /, "").split(/ {3,}/)[0] ?? ""
  );
  assert(lines.length > 3, heading);
  return lines;
}

/** A node that flannel served: its bridge and conflist, and pods that the reference plugin attached. */
async function flannelNode(life: Life, ...pods: string[]): Promise<void> {
  for (const plugin of ["bridge", "host-local"]) {
    await Deno.copyFile(`/usr/lib/cni/${plugin}`, `${life.kubelet.api}/${plugin}`);
  }
  const list = { name: "cbr0", cniVersion: "1.0.0", plugins: [{ type: "flannel" }] };
  await life.node.sh("cat >/etc/cni/net.d/10-flannel.conflist", JSON.stringify(list));
  await life.node.sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
  for (const id of pods) {
    await life.node.containers(id);
    const { code, stdout } = await reference(life, "ADD", id);
    assertEquals(code, 0, stdout);
  }
}

async function reference(life: Life, command: string, id: string) {
  return await life.node.run(["/run/api/bridge"], JSON.stringify(DELEGATE), {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/run/api",
  });
}

/** Runs the page's commands on the node. `kubectl` only writes the file of `exec`, and waits for the pod. */
async function follow(life: Life, heading: string): Promise<string> {
  const { pod } = life;
  assert(pod !== undefined);
  const printed: string[] = [];
  for (const command of await commandsOf(heading)) {
    const [, words = "", file = ""] = / -c node -- (.*) >(.*)$/.exec(command) ?? [];
    if (file !== "") {
      const { code, stdout } = await life.kubelet.exec(pod, "node", words.split(" "));
      assertEquals(code, 0, words);
      await life.node.sh(`cat >${file}`, stdout);
    } else if (command.startsWith("kubectl")) {
      if (command.includes(" wait ")) await life.installed();
    } else printed.push(await life.node.sh(command.replaceAll("NAME", "cbr0")));
  }
  return printed.join("");
}

/** Waits until the DaemonSet's pod has said so. */
async function says(life: Life, words: string): Promise<void> {
  await life.node.until(`it says ${words}`, async () => {
    const said = life.pod === undefined ? "" : await life.kubelet.said(life.pod);
    if (said.includes(words)) return true;
    throw new Error(said);
  }, 60);
}

lifeTest(
  "docs/kubernetes-moving.md, with draining: the DaemonSet installs after the last command",
  SETTING,
  async (life) => {
    await flannelNode(life, "p1");
    await life.apply();
    await says(life, '"cni0" carries it too');
    // kubectl drain
    await reference(life, "DEL", "p1");
    assertEquals(await follow(life, "With draining"), "");
    await life.installed();
    await life.check();
  },
);

lifeTest(
  "docs/kubernetes-moving.md, without draining: pods keep addresses and traffic, and new pods get others",
  SETTING,
  async (life) => {
    await flannelNode(life, "p1", "p2");
    await life.apply((documents) =>
      edit(documents, (list: Json) => {
        list.name = "cbr0";
        list.plugins[0].bridge = "cni0";
      })
    );
    await says(life, "An ADD would fail on this node");
    assertEquals(await life.conflist(), undefined);
    const printed = await follow(life, "Without draining");
    assertStringIncludes(printed, "2 leases imported");
    const rows = printed.split("\n").filter((line) => /\bp[12]\b/.test(line));
    assertEquals(rows.map((row) => row.trimEnd().split(/ +/).at(-1)), ["live", "live"], printed);
    const added = await life.attach();
    const addresses = await life.node.sh(
      `for it in p1 p2 ${added}; do ip -n $it -4 -o addr show dev eth0 | grep -o '10[0-9./]*/24'; done`,
    );
    assertEquals(addresses.trim().split("\n"), ["10.244.3.2/24", "10.244.3.3/24", "10.244.3.4/24"]);
    for (const id of ["p1", "p2", added]) assert(await life.node.pings(id, "192.0.2.1"), id);
    await life.check();
  },
);
