/**
 * One test for each defect of the Go program that this one follows; each is named after the defect. state_test.ts
 * tests two more: writing without fsync, and waiting for the lock without a limit.
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { type Answer, CONFIG, type Host, hostTest, STATE_FOLDER } from "./host.ts";

const BARE = { ...CONFIG, ipam: { routes: [] } };

function assertError({ code, json, stdout }: Answer, expected: number, message: RegExp): void {
  assertEquals([code, json?.code], [1, expected], stdout);
  assertMatch(json.msg, message);
}

async function assertLive(host: Host, id: string, address: string, ifname = "eth0"): Promise<void> {
  assertEquals(await host.addresses(id, ifname), [address]);
  assert(await host.pings(id, CONFIG.gateway));
}

hostTest("defect: a banner on stdout before every result, VERSION included", async (host) => {
  await host.containers("c1");
  const version = await host.cni("VERSION", { stdin: '{"cniVersion":"1.1.0"}' });
  assertEquals(Object.keys(version.json), ["cniVersion", "supportedVersions"]);
  const add = await host.cni("ADD");
  const again = await host.cni("ADD");
  for (const { stdout, json } of [version, add, again]) {
    assertEquals(JSON.parse(stdout), json);
    assert(stdout.startsWith("{") && stdout.endsWith("}\n"), stdout);
  }
  for (const command of ["CHECK", "DEL", "STATUS", "GC"]) {
    const config = { ...CONFIG, prevResult: add.json };
    const { code, stdout } = await host.cni(command, { config });
    assertEquals([code, stdout], [0, ""], command);
  }
});

hostTest("defect: placeholders that report success", async (host) => {
  await host.containers("c1", "c2");
  const prevResult = await host.add();
  const config = { ...CONFIG, prevResult };
  await host.sh("ip -n c1 addr flush dev eth0");
  assertError(await host.cni("CHECK", { config }), 106, /address of eth0/);
  await host.add({ id: "c2" });
  const keep = [{ containerID: "c2", ifname: "eth0" }];
  const gc = await host.cni("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": keep } });
  assertEquals(gc.code, 0, gc.stdout);
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  assertEquals((await host.hostVeths()).length, 1);
  const full = { ...CONFIG, ipam: { rangeStart: "10.86.0.3", rangeEnd: "10.86.0.3" } };
  assertError(await host.cni("STATUS", { config: full }), 50, /all are held/);
  await host.del({ id: "c2" });
  await host.assertNothingLeft();
});

hostTest("defect: the container's MAC read through the host's /sys", async (host) => {
  await host.containers("c1");
  // The defect: the host's own eth0 was read instead of the container's eth0; without one, the ADD failed.
  await host.sh("ip link add eth0 address 02:00:00:00:00:66 type veth peer name other0");
  const { interfaces } = await host.add();
  const [inside] = await host.ip("c1", "link", "show", "dev", "eth0");
  assertEquals(interfaces[2].mac, inside.address);
  assertNotEquals(interfaces[2].mac, "02:00:00:00:00:66");
  assertEquals((await host.ip("", "link", "show", "dev", "eth0"))[0].address, "02:00:00:00:00:66");
});

hostTest("defect: 110.22.0.1/24 on the bridge taken for 10.22.0.1/24", async (host) => {
  await host.containers("c1");
  const config = { ...CONFIG, subnet: "10.22.0.0/24", gateway: "10.22.0.1" };
  await host.sh("ip link add atomic0 up type bridge; ip addr add 110.22.0.1/24 dev atomic0");
  assertError(
    await host.cni("ADD", { config }),
    105,
    /of 10\.22\.0\.1\/24: it has 110\.22\.0\.1\/24/,
  );
  await host.sh("ip addr flush dev atomic0");
  await host.add({ config });
  assertEquals(await host.addresses("", "atomic0"), ["10.22.0.1/24"]);
  assert(await host.pings("c1", "10.22.0.1"));
});

hostTest("defect: a plain veth taken for a bridge", async (host) => {
  await host.containers("c1");
  await host.sh("ip link add atomic0 type veth peer name ve1");
  assertError(await host.cni("ADD"), 105, /"atomic0" as the bridge: it is a veth/);
  assertEquals(await host.addresses("", "atomic0"), []);
  await host.assertNothingLeft();
});

hostTest("defect: a default route elsewhere reported as ours", async (host) => {
  await host.containers("c1");
  await host.sh(`ip -n c1 link add up0 up type veth peer name up1
    ip -n c1 link set up1 up; ip -n c1 addr add 10.99.0.2/24 dev up0
    ip -n c1 route add default via 10.99.0.1`);
  assertError(await host.cni("ADD"), 100, /via 10\.99\.0\.1 dev up0 is there already/);
  const [route] = await host.ip("c1", "route", "show", "default");
  assertEquals(route.gateway, "10.99.0.1");
  await host.assertNothingLeft();
});

hostTest("defect: repeating ADD deletes the live veth and releases its address", async (host) => {
  await host.containers("c1");
  await host.add();
  for (let times = 0; times < 2; times++) {
    assertError(await host.cni("ADD"), 103, /it exists and belongs to "podnet\/c1\/eth0"/);
  }
  await assertLive(host, "c1", "10.86.0.2/24");
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
});

hostTest("defect: a second interface of a container kills the first", async (host) => {
  await host.containers("c1");
  await host.add();
  const second = { ifname: "eth1", config: BARE };
  await host.add(second);
  await assertLive(host, "c1", "10.86.0.2/24");
  assertEquals(await host.addresses("c1", "eth1"), ["10.86.0.3/24"]);
  await host.del(second);
  await assertLive(host, "c1", "10.86.0.2/24");
});

hostTest("defect: a second network of a container kills the first", async (host) => {
  await host.containers("c1");
  await host.add();
  const other = {
    name: "storage",
    bridge: "atomic1",
    subnet: "10.87.0.0/24",
    gateway: "10.87.0.1",
  };
  const second = { ifname: "net1", config: { ...BARE, ...other } };
  await host.add(second);
  await assertLive(host, "c1", "10.86.0.2/24");
  assert(await host.pings("c1", "10.87.0.1"));
  await host.del(second);
  await assertLive(host, "c1", "10.86.0.2/24");
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
  assertEquals(await host.leases("storage"), {});
});

hostTest("defect: a rename collision deletes the container's own eth0", async (host) => {
  await host.containers("c1");
  await host.sh(`ip -n c1 link add eth0 up type veth peer name own1
    ip -n c1 addr add 192.0.2.5/24 dev eth0`);
  assertError(await host.cni("ADD"), 103, /"eth0" in "\/run\/netns\/c1"/);
  assertEquals(await host.addresses("c1", "eth0"), ["192.0.2.5/24"]);
  assertError(await host.cni("ADD", { ifname: "lo" }), 103, /"lo"/);
  await host.del();
  assertEquals(await host.addresses("c1", "eth0"), ["192.0.2.5/24"]);
});

hostTest("defect: state and veth names keyed by the container ID alone", async (host) => {
  await host.containers("c1");
  const other = {
    name: "storage",
    bridge: "atomic1",
    subnet: "10.87.0.0/24",
    gateway: "10.87.0.1",
  };
  const names = [
    (await host.add()).interfaces[1].name,
    (await host.add({ ifname: "eth1", config: BARE })).interfaces[1].name,
    (await host.add({ ifname: "net1", config: { ...BARE, ...other } })).interfaces[1].name,
  ];
  assertEquals(new Set(names).size, 3);
  assertEquals(Object.keys(await host.leases()), ["c1/eth0", "c1/eth1"]);
  assertEquals(Object.keys(await host.leases("storage")), ["c1/net1"]);
});

hostTest(
  "defect: a zero-length state file read as new, live addresses allocated again",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    await host.sh(`: >${STATE_FOLDER}/podnet.json`);
    assertError(
      await host.cni("ADD", { id: "c2" }),
      104,
      /podnet\.json" as a state file: it is empty/,
    );
    await assertLive(host, "c1", "10.86.0.2/24");
    assertEquals(await host.sh(`stat -c %s ${STATE_FOLDER}/podnet.json`), "0\n");
  },
);

hostTest("defect: one fixed name for the temporary file", async (host) => {
  await host.containers("c1");
  await host.sh(`cd ${STATE_FOLDER}; mkdir podnet.json.tmp; ln -s /run/victim .podnet.json.tmp`);
  await host.add();
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
  await host.sh("test ! -e /run/victim");
});

hostTest("defect: a world-readable lock file that any user can hold", async (host, mode) => {
  await host.containers("c1");
  await host.sh(`chmod 755 ${STATE_FOLDER}`);
  await host.add();
  for (const name of ["podnet.lock", "podnet.json"]) {
    const path = `${STATE_FOLDER}/${name}`;
    assertEquals(await host.sh(`stat -c %a ${path}`), "600\n");
    if (mode === "rootless") continue; // The namespace maps only one user.
    // Even with a mode that root opened, the folder keeps others out.
    await host.sh(`chmod 666 ${path}`);
    const other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const held = await host.run([...other, "flock", "-n", path, "true"]);
    assertNotEquals(held.code, 0);
    assertMatch(held.stderr, /Permission denied/);
  }
});

hostTest("defect: ../x as a network name reaches outside the folder", async (host) => {
  await host.containers("c1");
  for (const command of ["ADD", "DEL", "CHECK", "GC", "STATUS"]) {
    const answer = await host.cni(command, { config: { ...CONFIG, name: "../x" } });
    assertError(answer, 7, /invalid characters found in network name/);
  }
  assertEquals(await host.sh("ls -A /var/lib | grep -cE '^x([.]|$)' || true"), "0\n");
});

hostTest("defect: an MTU of -5 accepted", async (host) => {
  await host.containers("c1");
  assertError(
    await host.cni("ADD", { config: { ...CONFIG, mtu: -5 } }),
    7,
    /mtu -5 as a whole number from 68/,
  );
  assertEquals(await host.links(), []);
});

hostTest("defect: host bits of the subnet dropped silently", async (host) => {
  await host.containers("c1");
  const config = { ...CONFIG, subnet: "10.86.0.1/24" };
  assertError(await host.cni("ADD", { config }), 7, /the network is 10\.86\.0\.0\/24/);
  assertEquals(await host.links(), []);
});

hostTest("defect: next-fit runs past 255.255.255.255", async (host) => {
  const ids = ["c1", "c2", "c3"];
  await host.containers(...ids);
  const config = {
    ...CONFIG,
    subnet: "255.255.255.248/29",
    gateway: "255.255.255.249",
    ipam: { rangeStart: "255.255.255.253", rangeEnd: "255.255.255.254", routes: [] },
  };
  for (const id of ["c1", "c2"]) await host.add({ id, config });
  assertEquals(await host.leases(), { "c1/eth0": "255.255.255.253", "c2/eth0": "255.255.255.254" });
  assertError(await host.cni("ADD", { id: "c3", config }), 101, /all are held/);
  await host.del({ id: "c1", config });
  await host.add({ id: "c3", config });
  assertEquals((await host.leases())["c3/eth0"], "255.255.255.253");
});

hostTest("defect: every failure has the same code", async (host) => {
  await host.containers("c1");
  const codes = [
    (await host.cni("ADD", { stdin: "{" })).json.code,
    (await host.cni("ADD", { config: { ...CONFIG, mtu: 1 } })).json.code,
    (await host.cni("ADD", { config: { ...CONFIG, ipMasq: true } })).json.code,
    (await host.cni("ADD", { config: { ...CONFIG, cniVersion: "7.0.0" } })).json.code,
    (await host.cni("ADD", { ifname: "" })).json.code,
    (await host.cni("ADD", { netns: "gone" })).json.code,
    (await host.cni("ADD", { ifname: "lo" })).json.code,
    (await host.cni("ADD", { args: "IP=10.99.0.1" })).json.code,
  ];
  assertEquals(codes, [6, 7, 2, 1, 4, 8, 103, 102]);
});
