import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parsePrevResult } from "../../../lib/result.ts";

Deno.test("parsePrevResult() reads each family of versions", () => {
  const oldest = {
    cniVersion: "0.2.0",
    ip4: { ip: "10.9.0.2/24", gateway: "10.9.0.1", routes: [{ dst: "0.0.0.0/0" }] },
    dns: { domain: "x" },
  };
  assertEquals(parsePrevResult(oldest, "0.1.0"), {
    interfaces: [],
    ips: [{ address: "10.9.0.2/24", gateway: "10.9.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { domain: "x" },
  });
  const dual = { ip4: { ip: "10.9.0.2/24" }, ip6: { ip: "fd00::2/64", routes: [{ dst: "::/0" }] } };
  assertEquals(parsePrevResult(dual, "0.2.0"), {
    interfaces: [],
    ips: [{ address: "10.9.0.2/24" }, { address: "fd00::2/64" }],
    routes: [{ dst: "::/0" }],
    dns: {},
  });
  const newest = {
    interfaces: [
      { name: "eth0", mac: "", mtu: 1500, sandbox: "/run/netns/c1", other: 1 },
      { name: "eth1", mtu: 0, socketPath: "/run/vhost", pciID: "0000:00:1f.6" },
    ],
    ips: [{ interface: 0, address: "10.9.0.2/24", version: "4" }],
    routes: [{ dst: "0.0.0.0/0", gw: "", table: 0, priority: 0 }, { dst: "fd00::/8", priority: 7 }],
  };
  const read = {
    interfaces: [
      { name: "eth0", mtu: 1500, sandbox: "/run/netns/c1" },
      { name: "eth1", socketPath: "/run/vhost", pciID: "0000:00:1f.6" },
    ],
    ips: [{ interface: 0, address: "10.9.0.2/24" }],
    routes: [{ dst: "0.0.0.0/0", table: 0 }, { dst: "fd00::/8", priority: 7 }],
    dns: {},
  };
  assertEquals(parsePrevResult(newest, "1.1.0"), read);
  assertEquals(parsePrevResult({ cniVersion: "0.4.0", ...newest }, "0.3.1"), read);
  assertEquals(parsePrevResult({}, "1.1.0"), { interfaces: [], ips: [], routes: [], dns: {} });
});

Deno.test("parsePrevResult() refuses anything that is not a result", () => {
  const rows: [object, string][] = [
    [{ cniVersion: "0.4.0" }, "prevResult.cniVersion"],
    [{ cniVersion: "1.2.0" }, "prevResult.cniVersion"],
    [{ interfaces: {} }, "prevResult.interfaces"],
    [{ interfaces: [{}] }, '"prevResult.interfaces[0].name" is required'],
    [{ ips: [{ address: 7 }] }, "prevResult.ips[0].address 7"],
    [{ ips: [{ address: "10.9.0.2" }] }, "no prefix length"],
    [{ ips: [{ address: "fd00::2" }] }, "no prefix length"],
    [{ ips: [{ address: "fd00::2/129" }] }, "as an IPv6 address with prefix length"],
    [{ routes: [{ dst: "10.9.0.0" }] }, "no prefix length"],
    [{ ips: ["10.9.0.2/24"] }, "prevResult.ips[0]"],
    [{ ips: [{ address: "10.9.0.2/24", interface: 0 }] }, "there are 0 interfaces"],
    [{ ips: [{ address: "10.9.0.2/24", interface: -1 }] }, "prevResult.ips[0].interface -1"],
    [{ routes: [{ gw: "10.9.0.1" }] }, '"prevResult.routes[0].dst" is required'],
  ];
  for (const [value, message] of rows) {
    const parse = () => parsePrevResult({ ...value }, "1.1.0");
    assertEquals(assertThrows(parse, CniError, message).code, 7);
  }
});
