import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { breakIp } from "../broken_ip.ts";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../host.ts";

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

/** The Go original's container `old`: a state file keyed by the container ID alone, and its host veth. */
const OLD_VETH = "avc00dbbc9dadfb"; // printf old | sha1sum

async function takenOver(host: Host): Promise<void> {
  await host.containers("old");
  await host.sh(`ip link add atomic0 type bridge; ip link set atomic0 up
    ip addr add 10.88.0.1/24 dev atomic0
    ip link add ${OLD_VETH} master atomic0 up type veth peer name eth0 netns old
    ip -n old addr add 10.88.0.2/24 dev eth0; ip -n old link set eth0 up`);
  await host.run(
    ["tee", `${STATE_FOLDER}/podnet.json`],
    JSON.stringify({
      containerToIP: { old: "10.88.0.2" },
      ipToContainer: { "10.88.0.2": "old" },
      lastReserved: "10.88.0.2",
    }),
  );
}

async function assertLives(host: Host): Promise<void> {
  assert((await host.links()).includes(OLD_VETH), "the veth of the container's eth0 is gone");
  assertEquals(Object.values(await host.leases()), ["10.88.0.2"]);
  assert(await host.pings("old", CONFIG.gateway));
}

hostTest(
  "DEL of a second interface of the Go original's container leaves its eth0 and lease",
  async (host) => {
    await takenOver(host);
    await host.del({ id: "old", ifname: "eth1" });
    await assertLives(host);
    // After its failed ADD, a runtime sends a DEL too.
    await host.sh(`ip -n old route add default via ${CONFIG.gateway}`);
    const { code } = await host.cni("ADD", { id: "old", ifname: "eth1" });
    assertEquals(code, 1);
    await assertLives(host);
    await host.del({ id: "old", ifname: "eth1" });
    await assertLives(host);
    const bare = { ...CONFIG, ipam: { routes: [] } };
    const { ips } = await host.add({ id: "old", ifname: "eth1", config: bare });
    assertNotEquals(ips[0].address, "10.88.0.2/24");
    await host.del({ id: "old", ifname: "eth1" });
    await assertLives(host);
    await host.del({ id: "old" });
    await host.assertNothingLeft();
  },
);

/** The first dump, or every dump, is cut off. The kernel does so while links come and go, with exit status 0. */
function interrupted(always: boolean): string {
  return `cut() { ${always ? "true" : "mkdir /run/cut 2>/run/err"}; }
  said() { echo 'Dump was interrupted and may be inconsistent.' >&2; }
  case " $* " in
    *' -batch '*) case "$in" in *' show'*) case "$in" in *' dev '*|*add*|*set*|*del*) ;; *)
      if cut; then printf '%s\\n' "$in" | sed 's/.*/[]/'; said; exit 0; fi ;; esac ;; esac ;;
    *' show '*|*' list '*) case " $* " in *' dev '*) ;; *)
      if cut; then echo '[]'; said; exit 0; fi ;; esac ;;
  esac`;
}

for (const always of [false, true]) {
  hostTest(
    `a dump of the links that was interrupted ${
      always ? "each time" : "once"
    } costs no live container its address`,
    async (host) => {
      const config = { ...CONFIG, ipam: { rangeStart: "10.88.0.2", rangeEnd: "10.88.0.3" } };
      await host.containers("c1", "c2", "c3");
      for (const id of ["c1", "c2"]) await host.add({ id, config });
      const before = await host.leases();
      await breakIp(host, interrupted(always));
      const { code, json, stdout } = await host.cni("ADD", { id: "c3", config });
      assertEquals(code, 1, `an address of a live container is allocated: ${stdout}`);
      if (!always) {
        assertEquals(json.code, 101);
        assertEquals((await host.run(["test", "-d", "/run/cut"])).code, 0, "nothing was cut");
      } else {
        assert([11, 100].includes(json.code), stdout);
      }
      await breakIp(host, "");
      // If every dump fails, the ADD may have been unable to roll back its own veth.
      if (always) await host.del({ id: "c3", config });
      assertEquals(await host.leases(), before);
      assertEquals((await host.hostVeths()).length, 2);
    },
  );
}

hostTest(
  "a host veth with another name, another alias and no bridge is still recognized by its MAC",
  async (host) => {
    const config = { ...CONFIG, ipam: { rangeStart: "10.88.0.2", rangeEnd: "10.88.0.3" } };
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
