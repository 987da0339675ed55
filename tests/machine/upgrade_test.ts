import { assertEquals } from "@std/assert";
import { ask, assertServes, summaryOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { cni, NETWORK, PROGRAM, quote } from "./command_line.ts";
import { boot } from "./usermode.ts";
import { test } from "../both_errors.ts";

const DEAD = { c1: "10.86.0.2", c2: "10.86.0.3", c3: "10.86.0.4" };
const { subnet, gateway, ipam: { rangeStart, rangeEnd } } = NETWORK;

/** As version 0.1.0 wrote it: schema 2, and a full pool. */
const BEFORE = {
  schema: 2,
  containerToIP: Object.fromEntries(Object.entries(DEAD).map(([id, ip]) => [`${id}/eth0`, ip])),
  ipToContainer: Object.fromEntries(Object.entries(DEAD).map(([id, ip]) => [ip, `${id}/eth0`])),
  lastReserved: DEAD.c3,
  leases: Object.fromEntries(
    Object.values(DEAD).map((
      ip,
    ) => [ip, { since: "2026-01-01T00:00:00Z", veth: `fe:00:00:00:00:0${ip.at(-1)}` }]),
  ),
  pool: { subnet, gateway, rangeStart, rangeEnd },
};

test(
  { name: "an upgrade across a reboot: a full pool of schema 2", ignore: SIZE === "short" },
  async () => {
    await using machine = await boot(new Disk(await format(EXT4)));
    await mountState(machine, EXT4);
    await machine.must(`chmod 700 /var/lib/atomicni; mkdir -p /run/netns
    printf %s ${quote(JSON.stringify(BEFORE))} >/var/lib/atomicni/podnet.json`);
    assertEquals((await machine.sh(cni("STATUS"))).code, 0, "STATUS before the first ADD");
    const asked = await ask(machine, { id: "d1" });
    assertServes(asked);
    const { schema, containerToIP } = JSON.parse(
      await machine.must("cat /var/lib/atomicni/podnet.json"),
    );
    assertEquals([schema, containerToIP], [3, { "d1/eth0": DEAD.c1 }]);
    for (const id of [...Object.keys(DEAD), "d1"]) {
      await machine.must(
        cni("DEL", { id, netns: id }),
      );
    }
    const list = JSON.parse(await machine.must(`${PROGRAM} list --json`));
    assertEquals(list, { attachments: [], errors: [] });
    recordRow(
      "reboot",
      "an upgrade, and a full pool that version 0.1.0 wrote",
      `ADD ${summaryOf(asked.add)} at once, written as schema 3`,
    );
  },
);
