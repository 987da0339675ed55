/** Frames to the reserved group addresses 01:80:c2:00:00:00 to :0f from a port that the rules do not know. */
import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest } from "../integration/host.ts";
import { pause } from "../../lib/base/deadline.ts";
import { datagram } from "./frames.ts";
import { recordFinding } from "./finding.ts";
import { Scene } from "./scene.ts";

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
