import { assertEquals } from "@std/assert";
import { config, NET, refused } from "../../podnet.ts";

Deno.test("an unsupported key is refused by name, code 2", () => {
  const rows: [object, string][] = [
    [{ ipMasq: true }, '"ipMasq": true'],
    [{ vlan: 100 }, '"vlan": 100'],
    [{ vlanTrunk: [{ id: 1 }] }, '"vlanTrunk"'],
    [{ enabledad: true }, '"enabledad": true'],
    [{ ipam: { type: "dhcp" } }, '"ipam.type": "dhcp"'],
    [{ ipam: { type: "HOST-LOCAL" } }, '"ipam.type": "HOST-LOCAL"'],
  ];
  for (const [keys, message] of rows) refused({ ...NET, ...keys }, 2, message);
});

Deno.test("the same keys with their default values are accepted", () => {
  const off = { ipMasq: false, vlan: 0, vlanTrunk: [], enabledad: false, macspoofchk: false };
  assertEquals(config({ ...NET, ...off, ipam: { type: "" } }), config(NET));
  for (const key of Object.keys(off)) config({ ...NET, [key]: null });
  const rows: [object, string][] = [
    [{ ipMasq: "no" }, "ipMasq"],
    [{ vlan: "1" }, "vlan"],
    [{ vlanTrunk: {} }, "vlanTrunk"],
    [{ ipam: { type: 7 } }, "ipam.type 7"],
  ];
  for (const [keys, message] of rows) refused({ ...NET, ...keys }, 7, message);
});
