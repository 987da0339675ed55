import { assertEquals } from "@std/assert";
import { CniError } from "../../lib/base/errors.ts";
import { errorDocument, type Result, resultDocument } from "../../lib/result.ts";
import { SPEC_VERSIONS, type SpecVersion } from "../../lib/base/spec.ts";

const RESULT: Result = {
  interfaces: [
    { name: "br0", mac: "0a:58:0a:09:00:01", mtu: 1500 },
    { name: "eth0", mac: "0a:58:0a:09:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
  ],
  ips: [{ interface: 1, address: "10.9.0.2/24", gateway: "10.9.0.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1", priority: 77, table: 0 }],
  dns: {},
};

Deno.test("resultDocument() has the shape of each version", () => {
  const old = {
    ip4: {
      ip: "10.9.0.2/24",
      gateway: "10.9.0.1",
      routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }],
    },
    dns: {},
  };
  const interfaces = RESULT.interfaces.map(({ mtu: _, ...rest }) => rest);
  const routes = [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }];
  const versioned = { interfaces, ips: [{ version: "4", ...RESULT.ips[0] }], routes, dns: {} };
  const { dns: _, ...newest } = RESULT;
  const expected: Record<SpecVersion, object> = {
    "0.1.0": old,
    "0.2.0": old,
    "0.3.0": versioned,
    "0.3.1": versioned,
    "0.4.0": versioned,
    "1.0.0": { interfaces, ips: RESULT.ips, routes },
    "1.1.0": newest,
  };
  for (const version of SPEC_VERSIONS) {
    assertEquals(resultDocument(version, RESULT), { cniVersion: version, ...expected[version] });
  }
});

Deno.test("resultDocument() omits empty values and keeps the entries of an earlier plugin", () => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };
  assertEquals(resultDocument("1.1.0", empty), { cniVersion: "1.1.0" });
  assertEquals(resultDocument("0.4.0", empty), { cniVersion: "0.4.0", dns: {} });
  const dual: Result = {
    ...RESULT,
    ips: [...RESULT.ips, { address: "fd00::2/64" }, { address: "10.10.0.2/24" }],
    routes: [...RESULT.routes, { dst: "::/0" }],
    dns: { domain: "x" },
  };
  assertEquals<unknown>(resultDocument("0.2.0", dual)["ip6"], {
    ip: "fd00::2/64",
    routes: [{ dst: "::/0" }],
  });
  assertEquals<unknown>(resultDocument("0.2.0", dual)["ip4"], {
    ip: "10.9.0.2/24",
    gateway: "10.9.0.1",
    routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }],
  });
  const six = { ...empty, ips: [{ address: "fd00::2/64", gateway: "fd00::1" }] };
  assertEquals(resultDocument("0.1.0", six), {
    cniVersion: "0.1.0",
    ip6: { ip: "fd00::2/64", gateway: "fd00::1" },
    dns: {},
  });
  assertEquals<unknown>(resultDocument("1.0.0", dual)["dns"], { domain: "x" });
  const { ips } = resultDocument("0.3.1", dual) as { ips: { version: string }[] };
  assertEquals(ips.map(({ version }) => version), ["4", "6", "4"]);
});

Deno.test("errorDocument() has the keys of the specification", () => {
  assertEquals(
    errorDocument("1.1.0", new CniError("InvalidNetworkConfig", "Cannot", "do")),
    {
      cniVersion: "1.1.0",
      code: 7,
      msg: "Cannot",
      details: "do",
    },
  );
});
