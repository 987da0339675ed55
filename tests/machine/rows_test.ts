import { assertEquals, assertMatch } from "@std/assert";
import { ask, assertRefuses, assertServes, doctor, found, summaryOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import type { Machine } from "./machine.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { cni, NETWORK, PROGRAM } from "./command_line.ts";
import { type Row, ROWS } from "./rows.ts";
import { boot } from "./usermode.ts";
import { test } from "../both_errors.ts";

for (const row of ROWS.filter((it) => SIZE === "full" || !it.onlyFull)) {
  test(`broken: ${row.name}`, async () => {
    const disk = new Disk(await format(EXT4));
    await using machine = await boot(disk, { kernel: row.kernel ?? [] });
    await mountState(machine, EXT4);
    await machine.must("chmod 700 /var/lib/atomicni; mkdir -p /run/netns");
    if (!row.isFirst) assertServes(await ask(machine, { id: "c1" }));
    const before = await picture(machine);
    await row.spoil(machine, disk);
    const asked = await ask(machine, { id: "c2" });
    const { add, status } = asked;
    if (row.refusal === undefined) {
      assertServes(asked);
      await row.check?.(machine);
    } else {
      assertRefuses(asked, row.refusal.code, row.refusal.cause);
      await nothingStays(machine, row, before, disk);
    }
    for (const id of ["c2", "c1"]) await machine.must(cni("DEL", { id, netns: id }));
    assertEquals(await picture(machine), []);
    recordRow("rows", row.name, summaryOf(add), summaryOf(status), found(asked.doctor));
  });
}

// This kernel knows VLANs, so a MAC has one entry without a VLAN and one for each VLAN of its port.
test("guard: CHECK, doctor and repair see an entry that an unguarded container took", async () => {
  const disk = new Disk(await format(EXT4));
  await using machine = await boot(disk);
  await mountState(machine, EXT4);
  await machine.must(
    "chmod 700 /var/lib/atomicni; mkdir -p /run/netns; ip netns add c1; ip netns add c2",
  );
  const guarded = { ...NETWORK, macspoofchk: true };
  const result = JSON.parse(await machine.must(cni("ADD", { network: guarded })));
  await machine.must(cni("ADD", { id: "c2", netns: "c2" }));
  const mac = result.interfaces[2].mac;
  const taken = `ip -n c2 link set dev eth0 address ${mac}
    ip netns exec c2 busybox ping -c 1 -W 1 10.86.0.1; ip -n c2 link set dev eth0 address 02:00:00:00:00:01`;
  const reach = async () =>
    (await machine.sh("ip netns exec c1 busybox ping -c 1 -W 1 10.86.0.1")).code === 0;
  const check = () => machine.sh(cni("CHECK", { network: { ...guarded, prevResult: result } }));
  const away = [
    taken,
    `${taken}; ip link del dev $(ip -B neigh show | grep -v "dev ${
      result.interfaces[1].name
    } " | grep -o "av[0-9a-f]*" | head -n 1)`,
  ];
  for (const how of away) {
    await machine.sh(how);
    assertEquals(await reach(), false, how);
    assertEquals((await check()).code, 1, how);
    assertMatch((await doctor(machine, guarded)).stdout, /has no static entry .* one of its VLANs/);
    await machine.sh(`printf %s '${JSON.stringify(guarded)}' | ${PROGRAM} repair`);
    assertEquals([await reach(), (await check()).code], [true, 0], how);
  }
});

/** The failed ADD left nothing, and the same ADD succeeds once the machine is repaired. */
async function nothingStays(machine: Machine, row: Row, before: string[], disk: Disk) {
  assertEquals((await machine.sh("ip netns exec c2 ip link show dev eth0")).code !== 0, true);
  await row.fix?.(machine, disk);
  assertEquals(await picture(machine), before);
  assertServes(await ask(machine, { id: "c2" }));
}

/** The host veths that exist and the attachments in the state: what an ADD creates. */
async function picture(machine: Machine): Promise<string[]> {
  const veths = await machine.must("ls /sys/class/net | grep '^av' || :");
  const { stdout } = await machine.sh("cat /var/lib/atomicni/podnet.json");
  const owners = stdout === "" ? [] : Object.keys(JSON.parse(stdout).containerToIP);
  return [...veths.split("\n"), ...owners].filter((it) => it !== "");
}
