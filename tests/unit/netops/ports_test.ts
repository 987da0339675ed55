import { assertEquals } from "@std/assert";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseInterfaceName } from "../../../lib/base/names.ts";
import { portFaults } from "../../../lib/netops/ports.ts";
import { answer, recorder } from "./answers.ts";
import { BR0 } from "./br0.ts";

const HOST = parseInterfaceName("av0123456789abc");
const MAC = parseMac("0a:58:0a:56:00:02");
const GUARD = { bridge: BR0.name, host: HOST, mac: MAC, ips: [] };
const SPEC = { host: HOST, hairpin: false, isolated: false, group: 7, guard: GUARD };

const OWN = "fe:00:00:00:00:01";
type Entry = readonly [dev: string, mac: string];

/** The fault of the port, if its group is shown like this and these entries are static. The port's own MAC has local ones. */
async function fault(group: string, entries: readonly Entry[]) {
  const info_slave_data = { learning: false, locked: true, group_fwd_mask: "0xfffd" };
  const port = { ifname: HOST, address: OWN, flags: ["UP"], master: "br0", group };
  const link = { ...port, linkinfo: { info_slave_data } };
  const { run } = recorder((args) => {
    if (args.includes("link show")) return answer([link]);
    const found = entries.map(([dev, lladdr]) => ({
      dev,
      lladdr,
      state: [lladdr === OWN ? "PERMANENT" : "NOARP"],
    }));
    return answer(args.startsWith("-B") ? found : []);
  });
  return (await portFaults(run, BR0.name, [SPEC])).map(({ found }) => found).join();
}

Deno.test("portFaults() looks for the static entry at the port itself, and knows that a group may have a name", async () => {
  const other = "av00000000000ff";
  const third = "0a:58:0a:56:00:03";
  const vlans: Entry[] = [[HOST, OWN], [HOST, OWN]];
  const rows: [string, Entry[], string][] = [
    ["7", [[HOST, MAC]], ""],
    ["7", [[other, third], [HOST, MAC]], ""],
    ["7", [[other, MAC]], `${MAC} has no static entry at this port, but at "${other}"`],
    ["7", [[HOST, third]], `${MAC} has no static entry at this port`],
    ["7", [...vlans, [HOST, MAC], [HOST, MAC]], ""],
    ["7", [...vlans, [HOST, MAC]], `${MAC} has no static entry at this port for one of its VLANs`],
    [
      "7",
      [...vlans, [HOST, MAC], [other, MAC]],
      `${MAC} has no static entry at this port for one of its VLANs, but at "${other}"`,
    ],
    ["of-root", [[HOST, MAC]], ""],
    ["default", [[HOST, MAC]], "its link group is 0, not 7"],
  ];
  for (const [group, entries, expected] of rows) {
    assertEquals(await fault(group, entries), expected);
  }
});
