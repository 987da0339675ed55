import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, STATE_FOLDER } from "../host.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;
/** A container ID so long that the alias (255 bytes) can't hold the whole attachment. */
const LONG = "c".repeat(250);

async function refused(host: Host, id: string, named: string): Promise<void> {
  const { code, json, stdout } = await host.cni("ADD", { id });
  assertEquals(
    [code, json?.code],
    [1, 104],
    `an address is allocated in spite of "${named}": ${stdout}`,
  );
  assertStringIncludes(`${json.msg} ${json.details}`, named);
}

hostTest(
  "the state file is gone: import does not start from scratch while a container lives",
  async (host) => {
    await host.containers("c1", "c2", "ref");
    await host.add();
    await host.sh(`rm ${STATE}
      ip link add vethref master atomic0 up type veth peer name eth0 netns ref
      ip -n ref addr add 10.88.0.9/24 dev eth0; ip -n ref link set eth0 up`);
    const listing = "/var/lib/cni/networks/podnet/10.88.0.9:ref\r\n" +
      "/var/lib/cni/networks/podnet/10.88.0.9:eth0\n";
    const { code, json, stdout } = await host.program(
      ["import", "--json"],
      `${JSON.stringify(CONFIG)}\n${listing}`,
    );
    assertNotEquals(code, 0, `imported over c1's address: ${stdout}`);
    assertEquals(json.error.code, 104);
    assertStringIncludes(stdout, "c1/eth0");
    await refused(host, "c2", "c1/eth0");
  },
);

hostTest(
  "the state file is gone: a live container in a namespace without a name is not overlooked",
  async (host) => {
    await host.sh("unshare -n sleep 100 >/run/out 2>&1 & echo $! >/run/pid; sleep 0.2");
    const pid = (await host.sh("cat /run/pid")).trim();
    try {
      await host.containers("c2");
      await host.add({ id: "p1", netns: `/proc/${pid}/ns/net` });
      await host.sh(`rm ${STATE}`);
      await refused(host, "c2", "p1/eth0");
      assertEquals((await host.hostVeths()).length, 1);
    } finally {
      await host.sh(`kill ${pid}`);
    }
  },
);

hostTest(
  "the state file is gone: a container whose ID is too long for the alias is not overlooked",
  async (host) => {
    await host.containers("c1", "c2");
    const { interfaces } = await host.add({ id: LONG, netns: "c1" });
    await host.sh(`rm ${STATE}`);
    await refused(host, "c2", interfaces[1].name);
  },
);

hostTest(
  "GC removes the veth of a killed ADD for a container with a very long ID",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2" });
    await host.sh(`cp -p ${STATE} /run/save`);
    const { interfaces } = await host.add({ id: LONG, netns: "c1" });
    const host1 = interfaces[1].name;
    const gc = (...ids: string[]) => {
      const list = ids.map((containerID) => ({ containerID, ifname: "eth0" }));
      return host.cni("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": list } });
    };
    assertEquals((await gc("c2", LONG)).code, 0);
    assert((await host.hostVeths()).includes(host1), "a listed attachment's veth was removed");
    // As if the ADD had died before its lease.
    await host.sh(`cp -p /run/save ${STATE}`);
    assertEquals((await gc("c2")).code, 0);
    assert(!(await host.hostVeths()).includes(host1), "the veth is left");
    assertEquals(await host.leases(), { "c2/eth0": "10.88.0.2" });
    assert(await host.pings("c2", CONFIG.gateway));
  },
);

/** The state before c1's ADD; a copy is restored while c1 lives. */
const OLDER: readonly [name: string, prepare: (host: Host) => Promise<void>][] = [
  ["an older copy of the state file", async (host) => {
    await host.add({ id: "c0" });
  }],
  ["an emptied state file", async (host) => {
    await host.add({ id: "c0" });
    await host.del({ id: "c0" });
  }],
];

for (const [name, prepare] of OLDER) {
  hostTest(`STATUS and doctor name a live container that ${name} lacks`, async (host) => {
    await host.containers("c0", "c1");
    await prepare(host);
    await host.sh(`cp -p ${STATE} /run/save`);
    await host.add({ id: "c1" });
    assertEquals((await host.cni("STATUS")).code, 0);
    const sound = await host.program(["doctor"], JSON.stringify(CONFIG));
    assert(!sound.stdout.includes("c1/eth0"), sound.stdout);
    await host.sh(`cp -p /run/save ${STATE}`);
    const status = await host.cni("STATUS");
    assertEquals([status.code, status.json?.code], [1, 50], "STATUS calls it ready");
    assertStringIncludes(status.stdout, "c1/eth0");
    const doctor = await host.program(["doctor"], JSON.stringify(CONFIG));
    assertNotEquals(doctor.code, 0, doctor.stdout);
    assertStringIncludes(doctor.stdout, "c1/eth0");
    // The remedy of the message helps; after it, all is well again.
    await host.program(["repair"], JSON.stringify(CONFIG));
    assertEquals((await host.leases())["c1/eth0"] !== undefined, true);
    assertEquals((await host.cni("STATUS")).code, 0);
  });
}

hostTest(
  "a live container that was added again after the restored copy is not overlooked",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    await host.sh(`cp -p ${STATE} /run/save`);
    await host.del();
    const { ips: [{ address }] } = await host.add();
    await host.sh(`cp -p /run/save ${STATE}`);
    assertNotEquals(`${(await host.leases())["c1/eth0"]}/24`, address);
    await refused(host, "c2", "c1/eth0");
    const status = await host.cni("STATUS");
    assertEquals([status.code, status.json?.code], [1, 50], status.stdout);
    // The remedy of the message helps; after it, all is well again.
    await host.program(["repair"], JSON.stringify(CONFIG));
    assertEquals(`${(await host.leases())["c1/eth0"]}/24`, address);
    assertNotEquals((await host.add({ id: "c2" })).ips[0].address, address);
  },
);

for (const command of ["DEL", "GC"]) {
  hostTest(`a ${command} does not make a restored copy trusted`, async (host) => {
    await host.containers("c0", "c1", "c2");
    await host.add({ id: "c0" });
    await host.sh(`cp -p ${STATE} /run/save`);
    await host.add({ id: "c1" });
    await host.sh(`cp -p /run/save ${STATE}`);
    const valid = [{ containerID: "c1", ifname: "eth0" }];
    const config = { ...CONFIG, "cni.dev/valid-attachments": valid };
    assertEquals((await host.cni(command, { id: "c0", config })).code, 0);
    assertEquals(await host.leases(), {});
    await refused(host, "c2", "c1/eth0");
  });
}

hostTest("repair guesses no address of a container that it can't inspect", async (host) => {
  await host.sh("unshare -n sleep 100 >/run/out 2>&1 & echo $! >/run/pid; sleep 0.2");
  const pid = (await host.sh("cat /run/pid")).trim();
  try {
    const hidden = { id: "p1", netns: `/proc/${pid}/ns/net` };
    await host.containers("c2");
    await host.add(hidden);
    await host.sh(`cp -p ${STATE} /run/save`);
    await host.del(hidden);
    await host.add(hidden);
    await host.sh(`cp -p /run/save ${STATE}`);
    await refused(host, "c2", "p1/eth0");
    const { code, stdout } = await host.program(["repair"], JSON.stringify(CONFIG));
    assertEquals(code, 2, stdout);
    assertStringIncludes(stdout, `"p1/eth0" may have `);
    await host.sh(`cmp /run/save ${STATE}`);
    await refused(host, "c2", "p1/eth0");
    // The remedy of the message.
    await host.del(hidden);
    await host.add({ id: "c2" });
  } finally {
    await host.sh(`kill ${pid}`);
  }
});
