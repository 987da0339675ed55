import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, MODES, STATE_FOLDER } from "./host.ts";
import { holdLock } from "./lock_holder.ts";

const FILE = `${STATE_FOLDER}/podnet.json`;
/** Without routes, for a second interface of a container. */
const BARE = { ...CONFIG, ipam: { routes: [] } };
/** A range for three containers. */
const SMALL = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.4" } };

async function allocated(host: Host, id: string, config: unknown = CONFIG): Promise<string> {
  return (await host.add({ id, config })).ips[0].address.replace(/\/\d+$/, "");
}

hostTest("addresses are allocated next-fit and wrap inside the range", async (host) => {
  await host.containers("c1", "c2", "c3", "c4", "c5");
  assertEquals(await allocated(host, "c1", SMALL), "10.86.0.2");
  assertEquals(await allocated(host, "c2", SMALL), "10.86.0.3");
  await host.del({ id: "c1", config: SMALL });
  assertEquals(await allocated(host, "c3", SMALL), "10.86.0.4");
  assertEquals(await allocated(host, "c4", SMALL), "10.86.0.2");
  const { code, json } = await host.cni("ADD", { id: "c5", config: SMALL });
  assertEquals([code, json.code], [1, 101]);
  assertMatch(json.msg, /10\.86\.0\.2 - 10\.86\.0\.4: all are held/);
});

/** 4000 leases with one free address. Every tenth lease has the form of the Go original. */
async function crowded(host: Host, subnet: string, free: string): Promise<Json> {
  const gateway = CONFIG.gateway;
  const range = { subnet, rangeStart: "10.86.0.1", rangeEnd: "10.86.255.254", gateway };
  const state: Json = {
    schema: 3,
    containerToIP: {},
    ipToContainer: {},
    lastReserved: "10.86.5.9",
    leases: {},
    ranges: [[range]],
  };
  for (let n = 0; n < 4000; n++) {
    const ip = `10.86.${2 + (n >> 8)}.${n & 255}`;
    if (ip === free) continue;
    const owner = n % 10 === 0 ? `old${n}` : `p${n}/eth0`;
    state.containerToIP[owner] = ip;
    state.ipToContainer[ip] = owner;
    if (n % 10 === 0) continue;
    state.leases[owner] = {
      since: "2026-01-01T00:00:00Z",
      hostMac: "fe:00:00:00:00:01",
      pod: `a/{${n}}`,
    };
  }
  await host.run(["tee", FILE], JSON.stringify(state));
  return await host.state();
}

hostTest("one ADD and DEL among thousands of leases change no other lease", async (host) => {
  await host.containers("c1");
  const config = { ...CONFIG, subnet: "10.86.0.0/16" };
  const before = await crowded(host, config.subnet, "10.86.5.12");
  assertEquals(await allocated(host, "c1", config), "10.86.5.12");
  const after = await host.state();
  assertEquals(after, {
    ...before,
    lastReserved: "10.86.5.12",
    containerToIP: { ...before.containerToIP, "c1/eth0": "10.86.5.12" },
    ipToContainer: { ...before.ipToContainer, "10.86.5.12": "c1/eth0" },
    leases: { ...before.leases, "c1/eth0": after.leases["c1/eth0"] },
  });
  assertEquals(Object.keys(after.leases["c1/eth0"]), ["since", "hostMac"]);
  await host.del({ config });
  assertEquals(await host.state(), { ...before, lastReserved: "10.86.5.12" });
});

hostTest(
  "an ADD into a full pool reclaims the leases that are stale in the kernel",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4");
    for (const id of ["c1", "c2", "c3"]) await allocated(host, id, SMALL);
    const [gone] = await host.hostVeths();
    await host.sh(`ip link del dev ${gone}`);
    const address = await allocated(host, "c4", SMALL);
    const leases = await host.leases();
    assertEquals(Object.keys(leases).length, 3);
    assertEquals(leases["c4/eth0"], address);
  },
  MODES,
);

hostTest("an attachment gets the same address again after its container is gone", async (host) => {
  await host.containers("c1", "c2");
  await host.add();
  await host.add({ id: "c2" });
  await host.end("c1");
  await host.containers("c1");
  assertEquals(await allocated(host, "c1"), "10.86.0.2");
  assertEquals((await host.hostVeths()).length, 2);
  assert(await host.pings("c1", CONFIG.gateway));
});

hostTest(
  "a host veth left by a killed run is never replaced, and a DEL removes it",
  async (host) => {
    await host.containers("c1", "c2");
    const name = (await host.add()).interfaces[1].name;
    await host.del();
    for (const peer of ["peer name left0", "peer name eth9 netns c2"]) {
      await host.sh(`ip link add name ${name} type veth ${peer}`);
      const { code, json } = await host.cni("ADD");
      assertEquals([code, json.code], [1, 103], peer);
      assertEquals(await host.hostVeths(), [name]);
      await host.del();
      assertEquals(await host.ip("", "link", "show", "dev", "left0"), []);
      await host.add();
      assert(await host.pings("c1", CONFIG.gateway), peer);
      await host.del();
    }
  },
);

hostTest("a requested address is allocated, or refused with its holder's name", async (host) => {
  await host.containers("c1", "c2", "c3", "c4");
  const asked = (ips: string[]) => ({ ...CONFIG, runtimeConfig: { ips } });
  assertEquals(await allocated(host, "c1", asked(["10.86.0.50"])), "10.86.0.50");
  const arg = await host.add({ id: "c2", args: "IgnoreUnknown=1;IP=10.86.0.60" });
  assertEquals(arg.ips[0].address, "10.86.0.60/24");
  const conventional = { ...CONFIG, args: { cni: { ips: ["10.86.0.70/24"] } } };
  assertEquals(await allocated(host, "c3", conventional), "10.86.0.70");
  const rows: [string, RegExp][] = [
    ["10.86.0.50", /"c1\/eth0" holds it/],
    ["10.86.0.1", /it is the gateway/],
    ["10.86.0.0", /reserved in the subnet/],
    ["10.86.0.255", /reserved in the subnet/],
    ["10.87.0.5", /outside 10\.86\.0\.0\/24/],
  ];
  for (const [ip, message] of rows) {
    const { code, json } = await host.cni("ADD", { id: "c4", config: asked([ip]) });
    assertEquals([code, json.code], [1, 102], ip);
    assertMatch(json.msg, message);
  }
  const outside = await host.cni("ADD", {
    id: "c4",
    config: { ...SMALL, runtimeConfig: { ips: ["10.86.0.9"] } },
  });
  assertMatch(outside.json.msg, /outside the range/);
  // Its holder is gone without a DEL: the address is free.
  await host.sh(`ip link del dev ${(await linkOf(host, "c1")).ifname}`);
  assertEquals(await allocated(host, "c4", asked(["10.86.0.50"])), "10.86.0.50");
});

async function linkOf(host: Host, id: string): Promise<Json> {
  const links = await host.ip("", "link", "show", "type", "veth");
  return links.find(({ ifalias }) => ifalias === `podnet/${id}/eth0`);
}

hostTest(
  "a state file that was removed under live containers is not started from scratch",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    await host.sh(`cp ${FILE} /run/save; rm ${FILE}`);
    const { code, json } = await host.cni("ADD", { id: "c2" });
    assertEquals([code, json.code], [1, 104]);
    assertMatch(json.msg, /"c1\/eth0" holds an address/);
    assertEquals((await host.hostVeths()).length, 1);
    assert(await host.pings("c1", CONFIG.gateway));
    await host.sh(`cp /run/save ${FILE}`);
    assertEquals(await allocated(host, "c2"), "10.86.0.3");
  },
);

hostTest(
  "temporary files of killed runs are removed, those of other networks are not",
  async (host) => {
    await host.containers("c1");
    const mine = ".podnet.0123456789abcdef.tmp";
    const theirs = ".podnet2.0123456789abcdef.tmp";
    await host.sh(`cd ${STATE_FOLDER}; echo x >${mine}; echo x >${theirs}`);
    await host.add();
    assertEquals(await host.files(), [`./${theirs}`, "./podnet.json", "./podnet.lock"]);
  },
);

hostTest("the wait for the lock has a limit", async (host) => {
  await host.containers("c1", "c2");
  await host.add();
  const holder = await holdLock(host, 30);
  const { code, json } = await host.cni("ADD", { id: "c2" });
  assertEquals([code, json.code], [1, 11]);
  assertMatch(
    json.msg,
    /Cannot take the lock ".*podnet\.lock" within 1\d{4} ms: it is held, by an unknown process/,
  );
  await host.sh(`kill ${holder}`);
  assertEquals((await host.hostVeths()).length, 1);
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
});

hostTest(
  "folders are 0700 and files 0600, whatever existed there and whatever the umask",
  async (host, mode) => {
    await host.containers("c1");
    const config = { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/a/b` } };
    const modes = async () =>
      (await host.sh(`cd ${STATE_FOLDER}; stat -c '%a %n' . a a/b a/b/*`)).trim().split("\n");
    const expected = ["700 .", "700 a", "700 a/b", "600 a/b/podnet.json", "600 a/b/podnet.lock"];
    await host.add({ config, under: ["sh", "-c", 'umask 0; exec "$@"', "sh"] });
    assertEquals(await modes(), expected);
    await host.del({ config });
    await host.sh(`chmod 755 ${STATE_FOLDER} ${STATE_FOLDER}/a ${STATE_FOLDER}/a/b`);
    await host.add({ config });
    assertEquals(await modes(), expected);
    if (mode === "rootless") return; // The namespace maps only one user.
    const foreign = await host.run(["chown", "1", `${STATE_FOLDER}/a`]);
    assertEquals(foreign.code, 0);
    const { json } = await host.cni("ADD", { id: "c2", netns: "c1", ifname: "eth1", config });
    assertEquals(json.code, 5);
    assertMatch(json.msg, /belongs to user 1, not to root/);
  },
);

hostTest("eight concurrent ADDs get eight addresses and create one bridge", async (host) => {
  const ids = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
  await host.containers(...ids);
  const results = await Promise.all(ids.map((id) => host.add({ id })));
  const addresses = new Set(results.map(({ ips }) => ips[0].address));
  assertEquals(addresses.size, 8);
  assertEquals(Object.keys(await host.leases()).length, 8);
  for (const { interfaces } of results) assertEquals(interfaces[0].mac, "0a:58:0a:56:00:01");
  assertEquals(await host.addresses("", CONFIG.bridge), ["10.86.0.1/24"]);
  assert(await host.pings("c1", CONFIG.gateway));
  await Promise.all(ids.map((id) => host.del({ id })));
  await host.assertNothingLeft();
}, MODES);

hostTest("concurrent ADDs and DELs of many containers allocate no address twice", async (host) => {
  const ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
  await host.containers(...ids);
  await Promise.all(ids.map((id) => host.add({ id, config: BARE })));
  await Promise.all(ids.map(async (id, index) => {
    if (index % 2 === 0) await host.del({ id });
    else await host.cni("ADD", { id, config: BARE, ifname: "eth1" });
  }));
  const leases = Object.values(await host.leases());
  assertEquals(new Set(leases).size, 6);
  assertEquals((await host.hostVeths()).length, 6);
});

hostTest(
  "the state file is replaced durably, in the order that survives a power cut",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    const before = await host.sh(`stat -c %i ${FILE}`);
    await host.add({
      id: "c2",
      under: [
        "strace",
        "-f",
        "-y",
        "-o",
        "/run/trace",
        "-e",
        "trace=openat,flock,fsync,fdatasync,rename,renameat,renameat2",
      ],
    });
    assertNotEquals(await host.sh(`stat -c %i ${FILE}`), before);
    const trace = (await host.sh(`grep -F ${STATE_FOLDER} /run/trace`)).split("\n");
    const order = trace.flatMap((line) => {
      if (line.includes("/.deno")) return [];
      if (/flock\(.*podnet\.lock>, LOCK_EX/.test(line)) return ["lock"];
      if (/openat\(.*\.podnet\.[0-9a-f]{16}\.tmp", O_WRONLY\|O_CREAT\|O_EXCL/.test(line)) {
        return ["create"];
      }
      if (/fdatasync\(.*\.tmp>|fsync\(.*\.tmp>/.test(line)) return ["sync file"];
      if (/rename.*\.tmp".*podnet\.json"/.test(line)) return ["rename"];
      if (/fsync\(\d+<\/var\/lib\/atomicni>\)/.test(line)) return ["sync folder"];
      return [];
    });
    assertEquals(order, ["lock", "create", "sync file", "rename", "sync folder"]);
  },
);
