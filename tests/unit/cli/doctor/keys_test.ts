import { assertEquals } from "@std/assert";
import { unknownKeys } from "../../../../lib/cli/doctor/keys.ts";
import { NET } from "../../../podnet.ts";

Deno.test("unknownKeys() names the keys that an ADD ignores, and no key that it reads", () => {
  const own = {
    ...NET,
    subnet6: "fd00::/64",
    gateway6: "fd00::1",
    macspoofchk: true,
    disableContainerInterface: false,
    ipam: {
      rangeStart6: "fd00::2",
      rangeEnd6: "fd00::9",
      resolvConf: "",
      routes: [{ dst: "::/0", gw: "fd00::1", table: 7 }],
    },
  };
  const local = {
    name: "podnet",
    isDefaultGateway: true,
    forceAddress: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "fd00::/64", rangeStart: "fd00::2" }]] },
  };
  const rows: [Record<string, unknown>, string[]][] = [
    [own, []],
    [local, []],
    [{ ...own, runtimeConfig: { x: 1 }, "cni.dev/valid-attachments": [] }, []],
    [{ ...NET, isGateway: true }, [
      '"isGateway" has no effect in a configuration without ipam.type',
    ]],
    [{ ...local, subnet: "10.0.0.0/24" }, [
      '"subnet" has no effect in a configuration with "ipam": {"type": "host-local"}',
    ]],
    [{ ...NET, ipam: { ranges: [], isGateway: true } }, [
      '"ipam.ranges" has no effect in a configuration without ipam.type',
      '"ipam.isGateway" is not known, and is ignored',
    ]],
    [{ ...NET, mtuu: 1 }, ['"mtuu" is not known, and is ignored']],
    [{ ...NET, rangeStart: "x" }, ['"rangeStart" is not known, and is ignored']],
    [{ ...NET, ipam: { routes: [{ dst: "0.0.0.0/0" }, { dest: "x" }] } }, [
      '"ipam.routes[1].dest" is not known, and is ignored',
    ]],
    [{ ...local, ipam: { ...local.ipam, ranges: [[{ subnet: "fd00::/64", size: 1 }]] } }, [
      '"ipam.ranges[0][0].size" is not known, and is ignored',
    ]],
    [{ ...NET, ipMasq: false }, [
      '"ipMasq" belongs to the reference bridge; its default value there has no effect here',
    ]],
    // Keys in another spelling are still read.
    [{ ...NET, MTU: 1400, IPAM: { RangeStart: "x", rangeend: "y" } }, []],
    [{ ...NET, mtu: 1400, MTU: 1500 }, ['"MTU" has no effect with "mtu"']],
    [{ ...local, IsGateway: true, IPAM: undefined }, ['"IPAM" has no effect with "ipam"']],
    [{ name: "podnet", Ipam: { TYPE: "host-local", SUBNET: "10.0.0.0/24" }, ISGATEWAY: true }, []],
    [{ ...NET, IPMASQ: false }, [
      '"IPMASQ" belongs to the reference bridge; its default value there has no effect here',
    ]],
  ];
  for (const [value, said] of rows) {
    assertEquals(unknownKeys(value).map(({ found }) => found), said, JSON.stringify(value));
  }
});
