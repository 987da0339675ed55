import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../until.ts";
import { CONFIG, hostTest, type Json, PROGRAM } from "../integration/host.ts";

const DUAL = {
  ...CONFIG,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  ipam: {
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "192.0.2.0/24", table: 100 }],
  },
};

hostTest(
  "this userland: an attachment of both families, with CHECK, doctor and STATUS",
  async (host) => {
    await host.containers("c1", "c2");
    const doctor = await host.run([...PROGRAM, "doctor", "--json"], JSON.stringify(DUAL));
    const findings: Json[] = JSON.parse(doctor.stdout).findings;
    assertEquals(findings.filter(({ level }) => level === "error"), []);
    assert(findings.some(({ about, level }) => about === "ip" && level === "ok"));
    assertEquals((await host.cni("STATUS", { config: DUAL })).code, 0);

    const prevResult = await host.add({ config: DUAL });
    await host.add({ id: "c2", config: DUAL });
    for (const to of ["10.86.0.1", "10.86.0.3", "fd00:88::1", "fd00:88::3"]) {
      await until(`a ping to ${to}`, () => host.pings("c1", to));
    }
    const [route] = await host.ip("c1", "route", "show", "table", "100");
    assertEquals([route?.dst, route?.gateway], ["192.0.2.0/24", "10.86.0.1"]);

    const config = { ...DUAL, prevResult };
    assertEquals((await host.cni("CHECK", { config })).stdout, "");
    await host.sh("ip -n c1 addr del 10.86.0.2/24 dev eth0");
    assertMatch((await host.cni("CHECK", { config })).json.msg, /address of eth0/);

    for (const id of ["c1", "c2", "c1"]) await host.del({ id, config: DUAL });
    await host.assertNothingLeft();
  },
);

hostTest("this userland: the guard is set, or refused, naming what is missing", async (host) => {
  await host.containers("c1");
  const config = { ...CONFIG, macspoofchk: true };
  const { code, json } = await host.cni("ADD", { config });
  if (code === 0) {
    const [port] = await host.ip("", "link", "show", "type", "veth");
    assertEquals(port?.linkinfo.info_slave_data.locked, true);
  } else {
    assertEquals([json.code, json.msg.includes("macspoofchk")], [2, true]);
    const [, major = "", minor = ""] = /iproute2-(\d+)\.(\d+)/.exec(await host.sh("ip -V")) ?? [];
    assert(Number(major) * 100 + Number(minor) < 518, `refused with iproute2 ${major}.${minor}`);
  }
  await host.del({ config });
  await host.assertNothingLeft();
});
