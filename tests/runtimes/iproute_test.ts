import { assert, assertEquals, assertMatch } from "@std/assert";
import { nodeTest } from "./node.ts";
import { ATOMICNI, NETWORK } from "./conflist.ts";

const CONFIG = { cniVersion: "1.1.0", name: NETWORK, ...ATOMICNI };

nodeTest(
  "busybox instead of iproute2's ip is refused by name, and nothing is changed",
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
      assertMatch(error.msg, /: the ip of BusyBox v[\d.]+ is not iproute2$/, command);
      assertMatch(error.details, /^install iproute2/);
    }
    const doctor = await node.run(["/opt/cni/bin/atomicni", "doctor"], JSON.stringify(CONFIG));
    assertEquals(doctor.code, 2);
    assertMatch(doctor.stdout, /ip of BusyBox v[\d.]+ is not iproute2/);
    await node.sh("umount $(readlink -f /usr/sbin/ip)");
    assertEquals(await node.sh("ip -br link; ls /var/lib/atomicni"), before);
    await node.add(CONFIG, "c1");
    assert(await node.pings("c1", "10.86.0.1"));
    await node.del(CONFIG, "c1");
  },
);

nodeTest("doctor recognizes a too old iproute2 by its version", async (node) => {
  await node.sh("cp /usr/sbin/ip /run/ip");
  const rows: [says: string, exit: number, found: string][] = [
    ["ip utility, iproute2-6.15.0, libbpf 1.5.0", 0, "ok      ip: ip utility, iproute2-6.15.0"],
    ["ip utility, iproute2-ss190319", 0, "ok      ip: ip utility, iproute2-ss190319"],
    [
      "ip utility, iproute2-ss190107",
      1,
      "warning ip: ip utility, iproute2-ss190107 is older than iproute2 5.0",
    ],
    [
      "ip utility, iproute2-4.20.0",
      1,
      "warning ip: ip utility, iproute2-4.20.0 is older than iproute2 5.0",
    ],
    ["something else", 1, "cannot find a version of iproute2"],
  ];
  for (const [says, exit, found] of rows) {
    await node.sh(`
printf '#!/bin/sh\n[ "$1" != -V ] || exec echo "%s"\nexec /run/ip "$@"\n' '${says}' >/run/ip.says
chmod 755 /run/ip.says
mount --bind /run/ip.says $(readlink -f /usr/sbin/ip)`);
    const doctor = await node.run(["/opt/cni/bin/atomicni", "doctor"], JSON.stringify(CONFIG));
    assert(doctor.stdout.includes(found), doctor.stdout);
    assertEquals(doctor.code, exit, doctor.stdout);
    await node.sh("umount $(readlink -f /usr/sbin/ip)");
  }
});
