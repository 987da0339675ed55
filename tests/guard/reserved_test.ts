/** Frames to the reserved group addresses 01:80:c2:00:00:00 to :0f do not bypass guard or rules. */
import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest } from "../integration/host.ts";
import { pause } from "../../lib/base/deadline.ts";
import { datagram } from "./frames.ts";
import { recordFinding } from "./finding.ts";
import { Scene, type State } from "./scene.ts";

const TIMES = 10;

/** Counts the UDP datagrams of both families that the host accepted. */
async function taken(host: Host): Promise<number> {
  const read = "cat /proc/net/snmp /proc/net/snmp6";
  const text = await host.sh(read);
  const names = /^Udp: (In.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  const values = /^Udp: (\d.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  const of6 = /^Udp6InDatagrams\s+(\d+)$/m.exec(text)?.[1];
  return Number(values[names.indexOf("InDatagrams")]) + Number(of6);
}

for (const state of [{ name: "guard", guard: true }, { name: "rules", rules: true }] as State[]) {
  hostTest(
    `reserved group addresses: nothing forged reaches the host: ${state.name}`,
    async (host) => {
      await using scene = await Scene.create(host, state);
      const [bob, eve] = [scene.at("bob"), scene.at("eve")];
      const forge = (last: number, source: string, from: string) =>
        datagram({
          from,
          to: `01:80:c2:00:00:${last.toString(16).padStart(2, "0")}`,
          source,
          destination: source.includes(":") ? "fd88::1" : "10.86.0.1",
          mark: "reserved",
        });
      // The rules alone stop foreign sources, but not the MAC and the address of a neighbour.
      const sources = state.guard === true ? [bob.ip4, bob.ip6] : ["192.0.2.77", "2001:db8::77"];
      for (let last = 0; last < 16; last++) {
        const frames = sources.map((source) =>
          forge(last, source, state.guard ? bob.mac : eve.mac)
        );
        const before = await taken(host);
        await scene.agent("eve").raw(frames, TIMES, 1);
        await pause(20);
        assertEquals(await taken(host) - before, 0, `forged datagrams to group address ${last}`);
      }
      // Honest frames arrive, which proves that the count above works.
      const before = await taken(host);
      await scene.agent("eve").talk({ "10.86.0.1": "honest" }, TIMES);
      await pause(50);
      assertEquals(await taken(host) - before, TIMES);
    },
  );
}

// The port becomes one outside the link group (SECURITY.md, "The guard").
hostTest(
  "reserved group addresses: a port outside of the link group passes the rules",
  async (host) => {
    await using scene = await Scene.create(host, { name: "ungrouped", rules: true });
    const { hostVeth, mac: from } = scene.at("eve");
    await host.sh(`ip link set dev ${hostVeth} group default`);
    const frames = Array.from({ length: 16 }, (_, last) =>
      datagram({
        from,
        to: `01:80:c2:00:00:0${last.toString(16)}`,
        source: "192.0.2.77",
        destination: "10.86.0.1",
        mark: "reserved",
      }));
    const accepted = async () => {
      const before = await taken(host);
      await scene.agent("eve").raw(frames, TIMES, 1);
      await pause(100);
      return await taken(host) - before;
    };
    const open = await accepted();
    await host.sh(`ip link set dev ${hostVeth} type bridge_slave group_fwd_mask 65533`);
    const closed = await accepted();
    assert(open >= TIMES, `only ${open}`);
    assertEquals(closed, 0);
    recordFinding({
      measure:
        "host rules alone, a port outside of the link group: foreign source to reserved group addresses",
      value: `${open} of ${16 * TIMES} came to the host; ${closed} after group_fwd_mask 65533`,
    });
  },
);
