/**
 * Promises of the life cycle that broke when two commands disagreed about the owner of a host veth or of the
 * state.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { pause } from "../../lib/base/deadline.ts";
import { type Answer, CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";
import { breakIp } from "./broken_ip.ts";
import { untilSh } from "../until.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;
const TWO = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };

async function repair(host: Host, ...options: string[]): Promise<Answer> {
  return await host.program(["repair", "--json", ...options], JSON.stringify(CONFIG));
}

/** Name of the host veth of an ADD. */
async function added(host: Host, id: string, config: Json = CONFIG): Promise<string> {
  return (await host.add({ id, config })).interfaces[1].name;
}

hostTest(
  "a state folder restored as a whole gives no live container's address to another",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4");
    await host.add({ id: "c1" });
    await host.sh(`cp -a ${STATE_FOLDER} /run/backup`);
    for (const id of ["c2", "c3"]) await host.add({ id });
    await pause(1_100); // a ctime has whole seconds
    await host.sh(`cp -a /run/backup/. ${STATE_FOLDER}/`);
    const { json } = await host.cni("ADD", { id: "c4" });
    assertEquals(json.code, 104, "an older folder");
    assertEquals((await host.cni("STATUS")).json?.code, 50);
    assertEquals((await repair(host)).json.found.length, 2);
    assertEquals((await host.add({ id: "c4" })).ips[0].address, "10.86.0.5/24");
  },
);

hostTest("STATUS and doctor report no fault while ADDs run", async (host) => {
  const ids = Array.from({ length: 6 }, (_, n) => `c${n}`);
  await host.containers(...ids, "z");
  await host.add({ id: "z" });
  let isOver = false;
  const adds = (async () => {
    for (let round = 0; round < 2; round++) {
      await Promise.all(ids.map((id) => host.add({ id })));
      await Promise.all(ids.map((id) => host.del({ id })));
    }
    isOver = true;
  })();
  const wrong: string[] = [];
  while (!isOver) {
    const status = await host.cni("STATUS");
    if (status.code !== 0) wrong.push(status.stdout);
    const doctor = await host.program(["doctor"], JSON.stringify(CONFIG));
    if (doctor.code > 1) wrong.push(doctor.stdout);
  }
  await adds;
  assertEquals(wrong, []);
});

hostTest(
  "a lock file that is removed or moved while an ADD holds it never gives two containers one address",
  async (host) => {
    const ids = Array.from({ length: 8 }, (_, n) => `c${n}`);
    await host.containers(...ids);
    let isOver = false;
    const removing = (async () => {
      while (!isOver) await host.run(["rm", "-f", `${STATE_FOLDER}/podnet.lock`]);
    })();
    const answers = await Promise.all(ids.map((id) => host.cni("ADD", { id })));
    isOver = true;
    await removing;
    const given = answers.flatMap(({ json }) => json?.ips?.[0]?.address ?? []);
    assertEquals(new Set(given).size, given.length, given.join());
    for (const { code, json } of answers) {
      if (code !== 0) assert([11, 104].includes(json.code), json.msg);
    }
  },
);

hostTest("an ADD or repair that fails on a damaged state leaves no further file", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await host.sh(`echo x >${STATE}`);
  await host.sh("rm /run/netns/c1 || true; ip netns add c1b");
  const before = await host.files();
  for (let tries = 0; tries < 3; tries++) {
    assertEquals((await host.cni("ADD", { id: "c2" })).json.code, 104);
  }
  assertEquals(await host.files(), before);
  // Nothing of the network is left: the ADD starts from scratch, and fails for another reason.
  await host.sh(
    "for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//'); do ip link del dev $it; done",
  );
  const asked = { id: "c2", config: { ...CONFIG, runtimeConfig: { mac: "0a:58:0a:56:00:01" } } };
  for (let tries = 0; tries < 3; tries++) {
    const { json, stderr } = await host.cni("ADD", asked);
    assertEquals([json.code, stderr.includes("empty")], [102, false]);
  }
  assertEquals(await host.files(), before);
  const { stderr } = await host.cni("ADD", { id: "c2" });
  assertMatch(stderr, /started empty, the old file is kept as/);
});

hostTest(
  "STATUS: the file of a dead network stops nothing, that of a live one is named",
  async (host) => {
    await host.containers("c1", "c2");
    const old = { ...CONFIG, name: "oldnet", bridge: "old0" };
    await host.add({ id: "c1", config: old });
    const shared = await host.cni("STATUS");
    assertEquals(shared.json.code, 50);
    assert(shared.json.msg.includes(`${STATE_FOLDER}/oldnet.json`), shared.json.msg);
    await host.sh("ip netns del c1; ip link del dev old0");
    await host.sh(untilSh("! ip -o link show type veth | grep -q oldnet"));
    assertEquals((await host.cni("STATUS")).code, 0);
  },
);

hostTest("a key that is not an owner: repair drops it, and the ADD works", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await host.sh(
    `sed -i 's|"containerToIP":{|"containerToIP":{"web server/eth0":"10.86.0.9",|; s|"ipToContainer":{|"ipToContainer":{"10.86.0.9":"web server/eth0",|' ${STATE}`,
  );
  assertEquals((await host.cni("ADD", { id: "c2" })).json.code, 104);
  const { code, json } = await repair(host);
  assertEquals([code, json.written], [0, true], JSON.stringify(json));
  assertEquals((await host.add({ id: "c2" })).ips[0].address, "10.86.0.3/24");
});

hostTest("DEL drains a node whose state a newer version wrote", async (host) => {
  await host.containers("c1");
  await host.add({ id: "c1" });
  await host.sh(`sed -i 's/"schema":3/"schema":4/' ${STATE}`);
  const before = await host.sh(`cat ${STATE}`);
  const { code, stdout, stderr } = await host.cni("DEL", { id: "c1" });
  assertEquals([code, stdout], [0, ""]);
  assertMatch(stderr, /the lease is left to the newer version/);
  assertEquals(await host.hostVeths(), []);
  assertEquals((await host.cni("DEL", { id: "c1", netns: "" })).code, 0);
  assertEquals(await host.sh(`cat ${STATE}`), before);
});

hostTest("a GC spares the veth and the lease of an ADD that is in progress", async (host) => {
  await host.containers("c1", "c2");
  const veth = await added(host, "c1");
  await added(host, "c2");
  await host.sh(
    `(flock -x 9; echo locked >/run/held; sleep 20) 9>${STATE_FOLDER}/.podnet.${veth}.add >/dev/null 2>&1 & while [ ! -e /run/held ]; do sleep 0.02; done`,
  );
  const none = { ...CONFIG, "cni.dev/valid-attachments": [] };
  assertEquals((await host.cni("GC", { config: none })).code, 0);
  assertEquals(await host.hostVeths(), [veth]);
  assertEquals((await host.state()).containerToIP, { "c1/eth0": "10.86.0.2" });
  // The same before it has a lease.
  await host.sh(`rm ${STATE}`);
  assertEquals((await host.cni("GC", { config: none })).code, 0);
  assertEquals(await host.hostVeths(), [veth]);
});

hostTest("one pod's own range stops no other pod, with or without it", async (host) => {
  await host.containers("c1", "c2", "c3", "c4");
  const plain = {
    ...{ cniVersion: "1.0.0", name: "podnet", type: "atomicni", bridge: "cni0", isGateway: true },
    ipam: { type: "host-local", ranges: [[{ subnet: "10.86.0.0/24" }]] },
  };
  const own = {
    ...plain,
    runtimeConfig: { ipRanges: [[{ subnet: "10.99.0.0/24" }]] },
  };
  await host.add({ id: "c1", config: own });
  await host.add({ id: "c2", config: plain });
  await host.add({ id: "c3", config: own });
  assertEquals((await host.cni("STATUS", { config: { ...plain, cniVersion: "1.1.0" } })).code, 0);
  const narrow = {
    ...CONFIG,
    name: "other",
    bridge: "other0",
    subnet: "10.77.0.0/24",
    gateway: "10.77.0.1",
  };
  const ipRanges = [[{ subnet: "10.77.0.0/24", rangeStart: "10.77.0.9", rangeEnd: "10.77.0.9" }]];
  await host.add({ id: "c4", config: { ...narrow, runtimeConfig: { ipRanges } } });
  const [range] = (await host.state("other")).ranges[0];
  assertEquals([range.rangeStart, range.rangeEnd], ["10.77.0.1", "10.77.0.254"]);
  // STATUS names another network that takes the rest of the subnet.
  const rest = { ...CONFIG, subnet: "10.77.0.0/24", gateway: "10.77.0.1" };
  assertEquals((await host.cni("STATUS", { config: rest })).json?.code, 50);
});

hostTest(
  "the bridge's neighbour entry of an address is flushed if its MAC has changed",
  async (host) => {
    await host.containers("c1", "c2");
    const dual = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
    await host.add({ id: "c1", config: dual });
    assert(await host.pings("c1", "fd00:88::1"));
    const six =
      (await host.add({ id: "c2", config: { ...dual, runtimeConfig: { ips: ["fd00:88::9"] } } }))
        .ips;
    assertEquals(six[1].address, "fd00:88::9/64");
    await host.sh("ip netns exec c2 busybox ping -6 -c 1 -W 2 fd00:88::1");
    await host.del({ id: "c2", config: dual });
    const left = await host.ip("", "-6", "neigh", "show", "to", "fd00:88::9", "dev", CONFIG.bridge);
    assertEquals(left.filter(({ lladdr }) => lladdr !== undefined), []);
  },
);

hostTest(
  "the last free address, with a MAC that another container requested: STATUS and ADD agree",
  async (host) => {
    await host.containers("c1", "c2");
    const config = { ...TWO, runtimeConfig: { mac: "0a:58:0a:56:00:03" } };
    await host.add({ id: "c1", config });
    assertEquals((await host.cni("ADD", { id: "c2", config: TWO })).json.code, 101);
    assertEquals((await host.cni("STATUS", { config: TWO })).json?.code, 50);
  },
);

hostTest(
  "two networks on one deleted bridge: each network's next ADD puts its ports back",
  async (host) => {
    await host.containers("a1", "b1", "a2", "b2");
    const other = { ...CONFIG, name: "other", subnet: "10.77.0.0/24", gateway: "10.77.0.1" };
    const bridgeless = {
      ...other,
      ipam: { type: "host-local", subnet: "10.77.0.0/24" },
      subnet: undefined,
      gateway: undefined,
    };
    await host.add({ id: "a1" });
    const lost = await added(host, "b1", bridgeless);
    await host.sh(`ip link del dev ${CONFIG.bridge}`);
    await host.add({ id: "a2" });
    assert(await host.pings("a1", CONFIG.gateway));
    const master = async () => (await host.ip("", "link", "show", "dev", lost))[0].master;
    assertEquals(await master(), undefined, "another network's port is left alone");
    await host.add({ id: "b2", config: bridgeless });
    assertEquals(await master(), CONFIG.bridge);
  },
);

hostTest("a GC keeps the lease of an ADD that came after its look at the kernel", async (host) => {
  await host.containers("c1");
  await host.sh(`ip link del dev ${await added(host, "c1")}`);
  await breakIp(
    host,
    `case "$*" in *"link show type veth"*) [ -e /run/listed ] || {
      : >/run/listed; /run/ip.real "$@"
      for i in $(seq 160); do [ -e /run/added ] && break; sleep 0.05; done; exit 0; } ;; esac`,
  );
  const collecting = host.cni("GC");
  await host.sh("for i in $(seq 400); do [ -e /run/listed ] && exit; sleep 0.02; done; exit 1");
  await host.add({ id: "c1" });
  await host.sh(": >/run/added");
  assertEquals((await collecting).code, 0);
  assertEquals(Object.keys(await host.leases()), ["c1/eth0"]);
});

hostTest(
  "STATUS and doctor name a container that a split left in the range of another network",
  async (host) => {
    await host.containers("c1", "c2");
    await added(host, "c1");
    const upper = { ...CONFIG, ipam: { rangeStart: "10.86.0.100", rangeEnd: "10.86.0.200" } };
    const lower = { ...CONFIG, name: "other", ipam: { ...TWO.ipam, rangeEnd: "10.86.0.99" } };
    await added(host, "c2", upper);
    const { json } = await host.cni("STATUS", { config: lower });
    assertMatch(`${json?.code} ${json?.msg}`, /^50 .*10.86.0.2 for .*"podnet\/c1\/eth0" has it/);
    const { stdout } = await host.program(["doctor"], JSON.stringify(lower));
    assertMatch(stdout, /warning subnet: .*"podnet\/c1\/eth0" has it/);
    await host.end("c1");
    assertEquals((await host.cni("STATUS", { config: lower })).stdout, "");
  },
);
