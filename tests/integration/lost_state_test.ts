import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { untilSh } from "../until.ts";
import { breakIp } from "./broken_ip.ts";
import { assertAddRefused } from "./refused_add.ts";
import { CONFIG, hostTest, STATE_FOLDER } from "./host.ts";
import { unnamedNamespace } from "./unnamed.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;
hostTest(
  "the state file is gone: import does not start from scratch while a container lives",
  async (host) => {
    await host.containers("c1", "c2", "ref");
    await host.add();
    await host.sh(`rm ${STATE}
      ip link add vethref master atomic0 up type veth peer name eth0 netns ref
      ip -n ref addr add 10.86.0.9/24 dev eth0; ip -n ref link set eth0 up`);
    const listing = "/var/lib/cni/networks/podnet/10.86.0.9:ref\r\n" +
      "/var/lib/cni/networks/podnet/10.86.0.9:eth0\n";
    const { code, json, stdout } = await host.program(
      ["import", "--json"],
      `${JSON.stringify(CONFIG)}\n${listing}`,
    );
    assertNotEquals(code, 0, `imported over c1's address: ${stdout}`);
    assertEquals(json.error.code, 104);
    assertStringIncludes(stdout, "c1/eth0");
    await assertAddRefused(host, "c2", "c1/eth0");
  },
);

hostTest(
  "the state file is gone: a live container in a namespace without a name is not overlooked",
  async (host) => {
    const pid = await unnamedNamespace(host);
    try {
      await host.containers("c2");
      await host.add({ id: "p1", netns: `/proc/${pid}/ns/net` });
      await host.sh(`rm ${STATE}`);
      await assertAddRefused(host, "c2", "p1/eth0");
      assertEquals((await host.hostVeths()).length, 1);
    } finally {
      await host.sh(`kill ${pid}`);
    }
  },
);

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
    await assertAddRefused(host, "c2", "c1/eth0");
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
    await assertAddRefused(host, "c2", "c1/eth0");
  });
}

hostTest(
  "a state that is lost while an ADD has a lease and no address yet: its address is not allocated again",
  async (host) => {
    await host.containers("c1", "c2");
    // The `ip` in the namespace waits.
    await breakIp(
      host,
      `case "$in" in *"addr add 10.86.0.2/"*) ${untilSh("[ -e /run/go ]")} ;; esac`,
    );
    const adding = host.cni("ADD", { id: "c1" });
    await host.sh(untilSh(`grep -q c1/eth0 ${STATE}`));
    await host.sh(`rm ${STATE}`);
    assertEquals((await host.cni("STATUS")).json?.code, 50);
    const { json } = await host.cni("ADD", { id: "c2" });
    await host.sh("touch /run/go");
    assertEquals((await adding).code, 0);
    assertEquals(json.code, 104, JSON.stringify(json));
    assertEquals((await host.program(["repair"], JSON.stringify(CONFIG))).code, 0);
    assertEquals((await host.add({ id: "c2" })).ips[0].address, "10.86.0.3/24");
  },
);

hostTest(
  "a second ADD of a killed one leaves its mark, so that the others still work",
  async (host) => {
    await host.containers("c1", "c2", "c3");
    await host.add({ id: "c1" });
    await host.sh(`touch ${STATE_FOLDER}/podnet.json`);
    const made = `printf '%s\\n' "$in" | /run/ip.real "$@"`;
    await breakIp(host, `case "$in" in *"type veth peer"*) ${made}; kill -9 $PPID; exit ;; esac`);
    assertEquals((await host.cni("ADD", { id: "c2" })).code, 137);
    await breakIp(host, "");
    assertEquals((await host.cni("ADD", { id: "c2" })).json.code, 103);
    assertEquals((await host.cni("STATUS", {})).code, 0);
    await host.add({ id: "c3" });
    await host.del({ id: "c2" });
    await host.add({ id: "c2" });
    assertEquals(await host.files(), ["./podnet.json", "./podnet.lock"]);
  },
);
