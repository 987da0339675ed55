import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../lib/base/errors.ts";
import { STATE_FOLDER } from "../../lib/base/scope.ts";
import { SPEC_VERSIONS } from "../../lib/base/spec.ts";
import { parseDocument, parseNetwork, parseValid } from "../../lib/config.ts";
import { config, NET, refused } from "../podnet.ts";

Deno.test("parseConfig() restricts results of 0.1.0 and 0.2.0 to the addresses that they can have", () => {
  const local = (...subnets: string[]) => ({
    name: "podnet",
    ipam: { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) },
  });
  const [four, other, six] = ["10.7.0.0/24", "10.8.0.0/24", "fd00::/64"] as const;
  const rows: [object, string | undefined][] = [
    [local(four), undefined],
    [local(four, six), undefined],
    [local(six), undefined],
    [local(four, other), "does not support more than 1 address per family"],
    [local(six, four, "fd01::/64"), "does not support more than 1 address per family"],
    [{ name: "podnet", ipam: {} }, "cannot convert: no valid IP addresses"],
  ];
  for (const [value, message] of rows) {
    for (const version of SPEC_VERSIONS) {
      const isOld = version === "0.1.0" || version === "0.2.0";
      if (isOld && message !== undefined) refused(value, 7, message, version);
      else assertEquals(config(value, version).cniVersion, version);
    }
  }
});

Deno.test("parseConfig() refuses an address that does not fit next to prevResult", () => {
  const four = { ip4: { ip: "10.9.0.2/24" } };
  const six = { ip6: { ip: "fd09::2/64" } };
  const dual = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
  const rows: [object, object, string | undefined][] = [
    [NET, six, undefined],
    [NET, {}, undefined],
    [NET, four, "has room for one IPv4 address"],
    [dual, six, "has room for one IPv6 address: prevResult has one"],
    [dual, { ...four, ...six }, "has room for one IPv4 address"],
  ];
  for (const version of ["0.1.0", "0.2.0"] as const) {
    for (const [value, prevResult, message] of rows) {
      const whole = { ...value, prevResult };
      if (message !== undefined) refused(whole, 7, message, version);
      else assertEquals(config(whole, version).cniVersion, version);
    }
  }
  const ips = [{ version: "6", address: "fd09::2/64" }];
  assertEquals(config({ ...dual, prevResult: { ips } }, "0.3.1").prevResult?.ips.length, 1);
});

Deno.test("dns comes from the runtime, else from the configuration", () => {
  const dns = { nameservers: ["10.86.0.1"], domain: "x", search: ["a"], options: ["b"] };
  const rows: [object, object][] = [
    [{}, {}],
    [{ dns }, dns],
    [{ dns: { nameservers: ["10.86.0.1"], other: 1 } }, { nameservers: ["10.86.0.1"] }],
    [{ dns, runtimeConfig: { dns: {} } }, dns],
    [{ dns, runtimeConfig: { dns: { servers: [] } } }, dns],
    [{ dns, runtimeConfig: { dns: { servers: ["10.0.0.1"] } } }, { nameservers: ["10.0.0.1"] }],
    [{ dns, runtimeConfig: { dns: { options: ["o"] } } }, { options: ["o"] }],
    [{ runtimeConfig: { dns: { searches: ["s"], options: ["o"] } } }, {
      search: ["s"],
      options: ["o"],
    }],
  ];
  for (const [value, found] of rows) assertEquals<object>(config({ ...NET, ...value }).dns, found);
  refused({ ...NET, dns: { nameservers: "x" } }, 7, "dns.nameservers");
  refused({ ...NET, runtimeConfig: { dns: { servers: [1] } } }, 7, "runtimeConfig.dns.servers");
  refused({ ...NET, prevResult: 7 }, 7, "prevResult");
});

Deno.test("parseNetwork() needs only a name", () => {
  const rows: [object, unknown][] = [
    [{ name: "a" }, { name: "a", dataDir: STATE_FOLDER, bridge: undefined }],
    [{ name: "a", bridge: 7, subnet: [], ipam: 1 }, {
      name: "a",
      dataDir: STATE_FOLDER,
      bridge: undefined,
    }],
    [{ name: "a", bridge: "br0", ipam: { dataDir: "/etc" } }, {
      name: "a",
      dataDir: STATE_FOLDER,
      bridge: "br0",
    }],
    [{ name: "a", bridge: "br0", ipam: { type: "host-local", dataDir: "/var/lib/cni" } }, {
      name: "a",
      dataDir: STATE_FOLDER,
      bridge: "br0",
    }],
    [{ name: "a", BRIDGE: "br0", ipam: { dataDir: `${STATE_FOLDER}/b` } }, {
      name: "a",
      dataDir: `${STATE_FOLDER}/b`,
      bridge: "br0",
    }],
    [{ name: "a", bridge: "br%d" }, { name: "a", dataDir: STATE_FOLDER, bridge: undefined }],
  ];
  for (const [value, network] of rows) {
    assertEquals<unknown>(parseNetwork(parseDocument(JSON.stringify(value))), network);
  }
});

Deno.test("parseValid() distinguishes an empty list from a missing one", () => {
  const valid = (value: object) =>
    parseValid(parseDocument(JSON.stringify({ name: "a", ...value })));
  const one = [{ containerID: "c1", ifname: "eth0" }];
  const parsed = [{ containerId: "c1", ifname: "eth0" }];
  assertEquals(valid({}), undefined);
  assertEquals(valid({ "cni.dev/valid-attachments": null }), []);
  assertEquals(valid({ "cni.dev/valid-attachments": one }), parsed);
  assertEquals(valid({ "cni.dev/attachments": one }), parsed);
  assertEquals(valid({ "cni.dev/valid-attachments": [], "cni.dev/attachments": one }), []);
  assertEquals(valid({ "CNI.dev/Valid-Attachments": one }), parsed);
  for (const bad of [7, [7], [{ containerID: "c1" }]]) {
    assertThrows(() => valid({ "cni.dev/valid-attachments": bad }), CniError, "valid-attachments");
  }
});
