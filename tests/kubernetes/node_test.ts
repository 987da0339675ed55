import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { test } from "../both_errors.ts";
import { type Json, run } from "../integration/host.ts";
import { manifest } from "./delivery.ts";
import type { PodRun } from "./kubelet.ts";
import { type Change, edit, image, Life, type Setting } from "./life.ts";
import { metricsIn } from "./promql.ts";
import { lifeTest } from "./tested_life.ts";

const PLAIN: Setting = {
  suite: "trixie",
  uplink: "eth0",
  service: "127.0.0.1",
  ranges: ["10.244.3.0/24", "fd00:10:244:3::/64"],
};

/** A test on its own node, which has a plain setting except for the named values. */
function nodeTest(
  name: string,
  setting: Partial<Setting>,
  body: (life: Life) => Promise<void>,
): void {
  lifeTest(name, { ...PLAIN, ...setting }, body);
}

/** Waits until the last pod has printed it. */
async function says(life: Life, words: string | RegExp): Promise<string> {
  return await life.node.until(`it says ${words}`, async () => {
    const pod = life.kubelet.pods.at(-1);
    const text = pod === undefined ? "" : await life.kubelet.said(pod);
    if (typeof words === "string" ? text.includes(words) : words.test(text)) return text;
    throw new Error(text);
  }, 60);
}

const sysctl = (life: Life, key: string) => life.node.quietly(`cat /proc/sys/net/${key}`);

nodeTest("a service address of IPv6: installs, and leaves nothing behind", {
  service: "fd00:10:96::1",
  uplink: "ens3",
  suite: "bookworm",
}, async (life) => {
  await life.apply();
  await life.installed();
  await life.check();
  await life.kubelet.delete("foreground");
  await life.nothingLeft();
});

nodeTest(
  "deleted with its account: the pods keep everything that they can't verify",
  {},
  async (life) => {
    await life.apply();
    await life.installed();
    await life.kubelet.delete("everything");
    assert(await life.conflist() !== undefined, "the conflist is gone");
    await life.kubelet.account();
    await life.apply();
    await life.installed();
    await life.kubelet.delete("background");
    await life.nothingLeft();
  },
);

nodeTest("a DaemonSet with another name and namespace leaves too", {}, async (life) => {
  const other: Change = (documents) => {
    for (const it of documents) if (it.kind === "DaemonSet") it.metadata.name = "prefix-atomicni-x";
  };
  await life.apply(other);
  await life.installed();
  await life.kubelet.delete("background", 60, "prefix-atomicni-x");
  await life.nothingLeft();
});

nodeTest("while it leaves, pods end, and a new pod is refused by name", {}, async (life) => {
  await life.apply();
  await life.installed();
  const id = await life.attach();
  const deleted = life.kubelet.delete("foreground");
  await says(life, "waiting for the containers");
  let refusal = "";
  await life.attach().catch((error) => refusal = error.message);
  assertStringIncludes(refusal, "AtomicNI is leaving this node");
  assert(await life.node.pings(id, "192.0.2.1"), "a running pod lost its traffic");
  await life.detach(id);
  await deleted;
  await life.nothingLeft();
});

nodeTest(
  "deleted and applied again while the old pod waits: it asks again, and the new installation stays",
  {},
  async (life) => {
    await life.apply();
    await life.installed();
    const id = await life.attach();
    const deleted = life.kubelet.delete("background");
    await says(life, "waiting for the containers");
    await life.apply();
    await says(life, "installed: ");
    await life.installed();
    await life.detach(id);
    await deleted;
    const left = "ls /etc/cni/net.d/10-atomicni.conflist /opt/cni/bin/atomicni; nft list tables";
    assertMatch(
      await life.node.sh(left),
      /10-atomicni\.conflist\n.*atomicni\n(?:.*\n)*table inet atomicni_podnet/,
    );
    await life.check();
  },
);

nodeTest(
  "the uplink keeps the default route that a router advertised",
  { uplink: "ens3" },
  async (life) => {
    const route = () => life.node.quietly("ip -6 route show default proto ra");
    await life.node.sh("ip -n router addr add fe80::1/64 dev router nodad");
    const advertise = `${life.node.folder}/advertise.py`;
    await Deno.writeTextFile(advertise, ADVERTISE);
    const send = async () => {
      const router = `--net=/proc/${life.node.pid}/root/run/netns/router`;
      const { code, stderr } = await run(["nsenter", router, "python3", advertise]);
      assertEquals(code, 0, stderr);
    };
    await life.node.until("an advertised route", async () => {
      await send();
      return await route() === "" ? undefined : true;
    });
    await life.apply();
    await life.installed();
    assertEquals(await sysctl(life, "ipv6/conf/all/forwarding"), "1");
    assertEquals(await sysctl(life, "ipv6/conf/ens3/accept_ra"), "2");
    assertMatch(await route(), /via fe80::1 dev ens3/);
    const file = await life.node.sh("cat /etc/sysctl.d/90-atomicni.conf");
    assertStringIncludes(file, "-net/ipv6/conf/ens3/accept_ra = 2\n");
  },
);

nodeTest(
  "a node without a range of IPv6 does not forward it",
  { ranges: ["10.244.3.0/24"] },
  async (life) => {
    await life.apply();
    await life.installed();
    assertEquals(await sysctl(life, "ipv6/conf/all/forwarding"), "0");
    assertEquals(await sysctl(life, "ipv6/conf/eth0/accept_ra"), "1");
    assertEquals(await sysctl(life, "ipv4/ip_forward"), "1");
  },
);

nodeTest(
  "Debian 11 with the guard: no conflist, and the report of doctor",
  { suite: "bullseye" },
  async (life) => {
    await life.apply((documents) => edit(documents, (list) => list.plugins[0].macspoofchk = true));
    const said = await says(life, "An ADD would fail on this node");
    assertMatch(said, /iproute2|5\.18/);
    assertEquals(await life.conflist(), undefined);
    const pod = life.pod;
    assert(pod !== undefined && !await life.kubelet.isReady(pod), "it reports ready");
  },
);

const set = (key: string, value: string): Change => (documents) => {
  for (const { data } of documents) if (data !== undefined) data[key] = value;
};
const broken: readonly [what: string, change: Change, words: RegExp][] = [
  ["JSON with a missing comma", (documents) => {
    for (const { data } of documents) {
      if (data !== undefined) data.conflist = data.conflist.replace(",", "");
    }
  }, /Cannot use the configuration: /],
  ["a missing plugin", (documents) => {
    edit(documents, (list) => list.plugins.push({ type: "nowhere" }));
  }, /names the plugin "nowhere", and \/opt\/cni\/bin\/nowhere does not exist/],
  ["an impossible bridge, without masquerading", (documents) => {
    set("direct", "none")(documents);
    edit(documents, (list) => list.plugins[0].bridge = "a/b");
  }, /An ADD would fail on this node: /],
  ["this plugin twice", (documents) => {
    edit(documents, (list) => list.plugins.push(list.plugins[0]));
  }, /it needs one plugin "atomicni"/],
];

nodeTest("an impossible configuration never goes live, and the log says why", {}, async (life) => {
  await life.apply();
  await life.installed();
  await life.attach();
  const before = await life.conflist();
  for (const [what, change, words] of broken) {
    const pod = await life.apply(change);
    await says(life, words);
    assertEquals(await life.conflist(), before, what);
    assert(!await life.kubelet.isReady(pod), what);
  }
  await life.apply();
  await life.installed();
});

nodeTest(
  "another range: pods keep their addresses until they end, and no new pod gets one of the old range",
  {},
  async (life) => {
    await life.apply();
    await life.installed();
    const id = await life.attach();
    await life.ranges("10.244.7.0/24", "fd00:10:244:7::/64");
    const pod = await life.apply();
    await waitsForItsPods(life, id, pod);
  },
);

/** The old network serves pod `id`, new pods are refused, and the new network is installed after `id` has ended. */
async function waitsForItsPods(life: Life, id: string, pod: PodRun): Promise<void> {
  await says(life, "kubectl drain node-a --ignore-daemonsets");
  assert(!await life.kubelet.isReady(pod), "it is ready, and no ADD would work");
  assert(await life.node.pings(id, "192.0.2.1"), "a running pod lost its traffic");
  let refusal = "";
  await life.attach().catch((error) => refusal = error.message);
  assertStringIncludes(refusal, "the network of this node changed");
  await life.detach(id);
  await life.installed();
  await life.check();
}

const other: readonly [what: string, change: (list: Json) => void][] = [
  ["name", (list) => list.name = "net2"],
  ["bridge", (list) => list.plugins[0].bridge = "pods0"],
  ["state folder", (list) => list.plugins[0].ipam.dataDir = "/var/lib/atomicni/net2"],
];

for (const [what, change] of other) {
  nodeTest(
    `another ${what}: no new pod until the old network has none, and then nothing of it is left`,
    {},
    async (life) => {
      await life.apply();
      await life.installed();
      const id = await life.attach();
      const pod = await life.apply((documents) => edit(documents, change));
      await waitsForItsPods(life, id, pod);
      await life.kubelet.delete("foreground");
      await life.nothingLeft();
      assertEquals(await life.node.sh("ls /etc/atomicni; ip -br link show type bridge"), "");
    },
  );
}

nodeTest("another range after a reboot: stale leases are reclaimed", {}, async (life) => {
  await life.apply();
  await life.installed();
  await life.attach();
  await life.ranges("10.244.7.0/24", "fd00:10:244:7::/64");
  await life.reboot(await life.documents());
  await life.installed();
  await life.check();
});

nodeTest("rules, conflist, program and settings are restored", {}, async (life) => {
  await life.apply();
  await life.installed();
  const id = await life.attach();
  const harm: readonly [what: string, seconds: number][] = [
    ["nft flush ruleset", 10],
    ["nft delete table bridge atomicni_podnet", 10],
    ["rm /etc/cni/net.d/10-atomicni.conflist", 10],
    ["rm /opt/cni/bin/atomicni", 10],
    ["echo '{}' >/etc/cni/net.d/10-atomicni.conflist", 10],
    ["echo 0 >/proc/sys/net/ipv4/ip_forward", 40],
    ["nft flush chain inet atomicni_podnet postrouting", 40],
  ];
  for (const [command, seconds] of harm) {
    await life.node.sh(command);
    await life.node.until(`restored after ${command}`, async () => {
      const whole = await life.node.quietly(WHOLE);
      return whole === "whole" ? true : undefined;
    }, seconds);
    assert(await life.node.pings(id, "192.0.2.1"), command);
  }
});

/** Prints "whole" if the installation is complete. */
const WHOLE = `
nft list table inet atomicni_podnet | grep -q masquerade
nft list table arp atomicni_podnet >/dev/null
nft list table bridge atomicni_podnet >/dev/null
grep -q podnet /etc/cni/net.d/10-atomicni.conflist
/opt/cni/bin/atomicni version >/dev/null
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] && echo whole`;

nodeTest(
  "a reboot: settings and rules are in place before any pod of Kubernetes",
  {},
  async (life) => {
    await life.apply();
    await life.installed();
    const [pod] = life.kubelet.pods;
    await life.kubelet.end(pod as NonNullable<typeof pod>, 10);
    await life.reboot(await life.documents());
    assertEquals(await sysctl(life, "ipv4/ip_forward"), "1");
    await life.node.sh("nft list table inet atomicni_podnet | grep -q masquerade");
    await life.attach();
    await life.check(false);
  },
);

nodeTest("flows that began before the rules are masqueraded from then on", {}, async (life) => {
  await life.apply();
  await life.installed();
  const id = await life.attach();
  await life.kubelet.end(life.pod as NonNullable<Life["pod"]>, 10);
  await life.node.sh("rm /etc/atomicni/podnet.nft; nft flush ruleset");
  await life.node.sh("ip netns exec router nft -f -", SEEN);
  const send = async () => {
    const inside = `--net=/proc/${life.node.pid}/root/run/netns/${id}`;
    const { code, stderr } = await run(["nsenter", inside, "python3", "-c", DATAGRAM]);
    assertEquals(code, 0, stderr);
  };
  const seen = async () => {
    const { nftables } = JSON.parse(
      await life.node.sh("ip netns exec router nft -j list table ip seen"),
    );
    const rules: Json[] = nftables.flatMap(({ rule }: Json) => rule === undefined ? [] : [rule]);
    return rules.map(({ expr }) => expr.find((it: Json) => it.counter).counter.packets);
  };
  // The kernel tracks connections only if a rule needs it.
  await life.node.sh(
    "nft -f -",
    "table ip track { chain forward { type filter hook forward priority 0; ct state new counter; }; }",
  );
  await send();
  assertEquals(await seen(), [1, 0], "the packet before the rules");
  await life.kubelet.start(await life.documents());
  await life.installed();
  await send();
  assertEquals(await seen(), [1, 1], "the packet after them");
});

/** Always from the same port: one flow. */
const DATAGRAM = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5000))
s.sendto(b"x", ("192.0.2.1", 5001))
`;

const SEEN = `
table ip seen {
  chain prerouting {
    type filter hook prerouting priority 0;
    ip saddr 10.244.3.0/24 udp dport 5001 counter
    ip saddr 192.0.2.10 udp dport 5001 counter
  }
}`;

nodeTest(
  "metrics, doctor by exec, and another configuration whose name sorts first",
  {},
  async (life) => {
    const pod = await life.apply();
    await life.installed();
    await life.attach();
    await life.node.sh("echo '{}' >/etc/cni/net.d/05-other.conflist");
    await says(life, "warning: runtimes take /etc/cni/net.d/05-other.conflist");
    const metric = async (wanted: RegExp) =>
      await life.node.until(`${wanted}`, async () => {
        const text = await life.node.sh("/run/busybox wget -qO- http://127.0.0.1:9437/metrics.txt");
        if (wanted.test(text)) return true;
        throw new Error(text);
      }, 60);
    await metric(/^atomicni_node_ready 1$/m);
    await metric(/^atomicni_node_overruled 1$/m);
    await metric(/^atomicni_attachments\{network="podnet",state="live"\} 1$/m);
    const text = await life.node.sh("/run/busybox wget -qO- http://127.0.0.1:9437/metrics.txt");
    const names = new Set([...text.matchAll(/^(\w+)(?:\{.*\})? /gm)].map(([, name]) => name));
    const alerts = (await manifest("deploy/kubernetes/monitoring")).find((it) =>
      it.kind === "PrometheusRule"
    );
    for (const { alert, expr } of alerts.spec.groups.flatMap((it: Json) => it.rules)) {
      for (const name of metricsIn(expr)) assert(names.has(name), `${alert}: no pod has ${name}`);
    }
    const doctor = ["/bin/sh", "/usr/lib/atomicni/node.sh", "doctor"];
    const { stdout } = await life.kubelet.exec(pod, "node", doctor);
    assertMatch(stdout, /An ADD would work/);
  },
);

nodeTest(
  "nothing is installed while another plugin's bridge exists",
  {},
  async (life) => {
    await life.node.sh(`
ip link add name cni0 type bridge
ip addr add 10.244.3.1/24 dev cni0
ip link set dev cni0 up`);
    await life.apply();
    await says(life, '"cni0" carries it too');
    assertEquals(await life.conflist(), undefined);
    await life.node.sh("ip link del dev cni0");
    await life.installed();
  },
);

for (const isMultipath of [false, true]) {
  const name = isMultipath ? "the smallest MTU of two uplinks" : "the MTU of the uplink";
  nodeTest(`pods have ${name}`, {}, async (life) => {
    await life.node.sh("ip link set dev eth0 mtu 1420");
    if (isMultipath) {
      await life.node.sh(`
ip link add name eth1 mtu 1400 type veth peer name eth1p
ip addr add 198.51.100.2/24 dev eth1
ip link set dev eth1 up
ip route replace default nexthop via 192.0.2.1 dev eth0 nexthop via 198.51.100.1 dev eth1`);
    }
    await life.apply();
    await life.installed();
    assertEquals((await life.conflist()).plugins[0].mtu, isMultipath ? 1400 : 1420);
  });
}

nodeTest("a wrapper that confines the program is not replaced", {}, async (life) => {
  await life.node.sh(
    "printf '#!/bin/sh\\nexec /usr/bin/bwrap true\\n' >/opt/cni/bin/atomicni; chmod 755 /opt/cni/bin/atomicni",
  );
  await life.apply();
  await says(life, "is the wrapper that confines the program");
  assertMatch(await life.node.sh("cat /opt/cni/bin/atomicni"), /bwrap/);
});

/** One router advertisement (type 134, lifetime 1800 s) out of `router`, to all nodes. */
const ADVERTISE = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.bind(("fe80::1", 0, 0, socket.if_nametoindex("router")))
s.sendto(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), ("ff02::1", 0, 0, socket.if_nametoindex("router")))
`;

nodeTest(
  "where containerd looks for plugins in another folder nothing is installed, until they agree",
  {},
  async (life) => {
    const configured = async (text: string) =>
      await life.node.sh("mkdir -p /etc/containerd; cat >/etc/containerd/config.toml", text);
    // As Debian's package has it, in which nothing else is set.
    await configured('[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/usr/lib/cni"\n');
    // containerd does not run, so another runtime reads the folders.
    await life.apply();
    await life.installed();
    await life.node.sh("rm /etc/cni/net.d/10-atomicni.conflist; mkdir -p /run/containerd");
    using _ = Deno.listen({
      transport: "unix",
      path: `/proc/${life.node.pid}/root/run/containerd/containerd.sock`,
    });
    await life.apply();
    await says(
      life,
      "Cannot use /opt/cni/bin: /etc/containerd/config.toml has bin_dir = /usr/lib/cni",
    );
    assertEquals(await life.conflist(), undefined);
    await configured("[cni]\nbin_dirs = ['/usr/lib/cni', '/opt/cni/bin']\nconf_dir = '/etc/cni'\n");
    await says(
      life,
      "Cannot use /etc/cni/net.d: /etc/containerd/config.toml has conf_dir = /etc/cni.",
    );
    await configured("[cni]\nbin_dirs = ['/usr/lib/cni', '/opt/cni/bin']\n");
    await life.installed();
    await life.check();
  },
);

test("the script form in the image runs with the Deno of the node, not of the image", async () => {
  const program = `${Deno.cwd()}/bin/atomicni.js`;
  const [, deno = ""] = /^":" \/\/; n="([^"]*)"/m.exec(await Deno.readTextFile(program)) ?? [];
  const folder = await image(program);
  try {
    await using life = await Life.begin(folder, PLAIN);
    await life.apply();
    await says(life, `users other than root can change ${deno.split("/").slice(0, 3).join("/")}`);
    assertEquals(await life.conflist(), undefined);
    await life.node.sh(`mkdir -p ${deno.slice(0, deno.lastIndexOf("/"))}`);
    await Deno.copyFile(deno, `/proc/${life.node.pid}/root${deno}`);
    await life.installed();
    await life.check();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
