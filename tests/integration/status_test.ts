import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { CONFIG, type Host, hostTest, STATE_FOLDER } from "./host.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;

hostTest("STATUS and doctor name another network on the same bridge and subnet", async (host) => {
  await host.containers("c1");
  const second = { ...CONFIG, name: "second" };
  const alone = await host.cni("STATUS", { config: second });
  assertEquals([alone.code, alone.stdout], [0, ""]);
  await host.add({ id: "c1" });
  const status = await host.cni("STATUS", { config: second });
  assertStringIncludes(status.stdout + status.stderr, "podnet", "STATUS says nothing of it");
  const doctor = await host.program(["doctor"], JSON.stringify(second));
  assertNotEquals(doctor.code, 0, doctor.stdout);
  assertStringIncludes(doctor.stdout, "podnet");
});

const UNABLE: readonly [what: string, under: string[], rule: string, remedy: string][] = [
  [
    "may not change interfaces",
    ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
    ":",
    "run it as root with CAP_NET_ADMIN",
  ],
  // `ip` takes an unknown kind for no filter, and prints `{}` for each link.
  [
    "has no veth",
    [],
    "case \"$*\" in *'show type veth') echo '[{},{}]'; exit ;; esac",
    "modprobe veth",
  ],
];

for (const [what, under, rule, remedy] of UNABLE) {
  hostTest(`STATUS: a host that ${what} can't serve an ADD`, async (host) => {
    await breakIp(host, rule);
    const { json, stdout } = await host.cni("STATUS", { under });
    assertEquals(json?.code, 50, stdout);
    assertStringIncludes(json.msg, "Cannot make a veth: ");
    assertStringIncludes(json.details, remedy);
  });
}

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
