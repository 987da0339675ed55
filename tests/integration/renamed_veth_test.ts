import { assert, assertEquals } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { CONFIG, hostTest, type Json } from "./host.ts";

/** Commands that rename a host veth. */
function renaming(from: string, to: string, ip = "ip"): string {
  return `${ip} link set dev ${from} down; ${ip} link set dev ${from} name ${to}; ${ip} link set dev ${to} up`;
}

/** Runs `command` before the call number `at` of `ip` with these arguments. */
function before(at: number, args: string, command: string): string {
  return `[ "$*" != "${args}" ] || { echo >>/run/calls; [ $(wc -l </run/calls) != ${at} ] || { ${command}; }; }`;
}

hostTest(
  "a GC keeps the lease of a host veth that gets another name between its looks",
  async (host) => {
    await host.containers("c1", "x");
    const veth = (await host.add()).interfaces[1].name;
    await host.sh(`ip link add vethx master ${CONFIG.bridge} type veth peer name eth0 netns x
    ip -n x addr add 10.86.0.200/24 dev eth0`);
    let name = veth;
    for (const at of [2, 3]) {
      const rename = renaming(name, `web${at}`, "/run/ip.real");
      await breakIp(host, before(at, "-d -j link show type veth", rename));
      await host.sh("rm -f /run/calls");
      assertEquals((await host.cni("GC")).stdout, "");
      name = `web${at}`;
      assert((await host.links()).includes(name), `the GC looks less than ${at} times`);
      assertEquals(Object.keys(await host.leases()), ["c1/eth0"], `look ${at}`);
    }
  },
);

hostTest("a DEL removes a host veth that gets another name before its removal", async (host) => {
  await host.containers("c1");
  const veth = (await host.add()).interfaces[1].name;
  await host.sh(renaming(veth, "mine0"));
  await breakIp(host, before(1, "-d -j addr show", renaming("mine0", "mine1", "/run/ip.real")));
  await host.del();
  assertEquals(await host.addresses("c1", "eth0"), [], "the address is free and in use");
  assertEquals(await host.links(), [CONFIG.bridge]);
  await host.assertNothingLeft();
});

hostTest("a failed ADD removes its host veth although that got another name", async (host) => {
  await host.containers("c1");
  const veth = (await host.add()).interfaces[1].name;
  await host.del();
  const rename = renaming(veth, "mine0", "/run/ip.real");
  await breakIp(host, `case "$in" in *"addr add 10.86.0.3/24"*) ${rename}; exit 2 ;; esac`);
  assertEquals((await host.cni("ADD")).json.code, 100);
  assertEquals(await host.links(), [CONFIG.bridge]);
  await host.assertNothingLeft();
});

hostTest(
  "DEL removes a renamed host veth before it frees the address",
  async (host) => {
    await host.containers("c1", "c2");
    const { interfaces } = await host.add();
    await host.add({ id: "c2" });
    const name = interfaces[1].name;
    await host.sh(`ip link set dev ${name} down; ip link set dev ${name} name mine0
    ip link set dev mine0 up`);
    assert(await host.pings("c1", CONFIG.gateway));
    await host.del();
    assertEquals(await host.addresses("c1", "eth0"), [], "the address is free and in use");
    assertEquals((await host.links()).filter((it) => it === "mine0"), []);
    assertEquals(Object.keys(await host.leases()), ["c2/eth0"]);
    assert(await host.pings("c2", CONFIG.gateway));
  },
);

hostTest(
  "a host veth with another name, another alias and no bridge is still recognized by its MAC",
  async (host) => {
    const config = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
    await host.containers("c1", "c2", "c3");
    const [, { name: veth }] = (await host.add({ id: "c1", config })).interfaces;
    await host.sh(`ip link set dev ${veth} name web0
      ip link set dev web0 alias 'the web server'; ip link del dev ${CONFIG.bridge}`);
    await host.add({ id: "c2", config });
    const held = await host.leases();
    await host.program(["repair"], JSON.stringify(config));
    await host.cni("GC", { config });
    assertEquals(await host.leases(), held);
    const listed = await host.program(["list", "--json"], "");
    const row = listed.json.attachments.find((it: Json) => it.containerId === "c1");
    assertEquals([row.live, row.veth], [true, "web0"]);
    const { json, stdout } = await host.cni("ADD", { id: "c3", config });
    assertEquals(json.code, 101, `the address of a live container is allocated: ${stdout}`);
    await host.del({ id: "c1", config });
    assertEquals(await host.ip("c1", "link", "show", "dev", "eth0"), []);
    const [, other] = (await host.add({ id: "c3", config })).interfaces;
    await host.sh(`ip link set dev ${other.name} name web0; ip link set dev web0 alias ''`);
    const list = [{ containerID: "c2", ifname: "eth0" }];
    const ended = await host.cni("GC", {
      config: { ...config, "cni.dev/valid-attachments": list },
    });
    assertEquals(ended.code, 0, ended.stdout);
    assertEquals(await host.ip("c3", "link", "show", "dev", "eth0"), []);
    await host.del({ id: "c2", config });
    await host.assertNothingLeft();
  },
);
