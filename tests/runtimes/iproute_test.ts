import { assert, assertEquals, assertMatch } from "@std/assert";
import { nodeTest } from "./node.ts";
import { ATOMICNI, NETWORK } from "./podnet.ts";

const CONFIG = { cniVersion: "1.1.0", name: NETWORK, ...ATOMICNI };

nodeTest(
  "busybox in the place of iproute2's ip is refused by name, and nothing is touched",
  async (node) => {
    await node.containers("c1");
    const before = await node.sh("ip -br link; ls /var/lib/atomicni");
    await node.sh("mount --bind /usr/bin/busybox $(readlink -f /usr/sbin/ip)");
    for (const command of ["ADD", "DEL", "CHECK", "STATUS", "GC"]) {
      const config = command === "CHECK"
        ? { ...CONFIG, prevResult: { cniVersion: "1.1.0" } }
        : CONFIG;
      const { code, stdout } = await node.cni(command, config, "c1");
      const error = JSON.parse(stdout);
      assertEquals(
        [code, error.code],
        [1, command === "STATUS" ? 50 : 100],
        `${command}: ${stdout}`,
      );
      assertMatch(error.msg, /: the ip of BusyBox v[\d.]+ is no iproute2$/, command);
      assertMatch(error.details, /^install iproute2/);
    }
    const doctor = await node.run(["/opt/cni/bin/atomicni", "doctor"], JSON.stringify(CONFIG));
    assertEquals(doctor.code, 2);
    assertMatch(doctor.stdout, /ip of BusyBox v[\d.]+ is no iproute2/);
    await node.sh("umount $(readlink -f /usr/sbin/ip)");
    assertEquals(await node.sh("ip -br link; ls /var/lib/atomicni"), before);
    await node.add(CONFIG, "c1");
    assert(await node.pings("c1", "10.88.0.1"));
    await node.del(CONFIG, "c1");
  },
);
