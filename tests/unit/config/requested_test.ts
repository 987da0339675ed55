import { assertEquals, assertThrows } from "@std/assert";
import { Malformed } from "../../../lib/base/errors.ts";
import { parseRequestedIp } from "../../../lib/config/environment.ts";
import { config, NET, refused } from "../../podnet.ts";

Deno.test("parseRequestedIp() accepts an address with or without prefix length", () => {
  const rows: [string, string][] = [
    ["10.86.0.9", "10.86.0.9"],
    ["10.86.0.9/16", "10.86.0.9"],
    ["FD00::0:9", "fd00::9"],
    ["fd00::9/64", "fd00::9"],
  ];
  for (const [text, ip] of rows) assertEquals<string>(parseRequestedIp(text), ip);
  for (const bad of ["10.86.0.9/33", "fd00::9/129", "x", "", 9]) {
    assertThrows(() => parseRequestedIp(bad), Malformed);
  }
});

Deno.test("requests of a runtime take precedence in the order of the conventions", () => {
  const wanted = (value: object, args = "IP=10.86.0.3;MAC=02:00:00:00:00:03") => {
    const { requestedIps, requestedMac } = config({ ...NET, ...value }, "1.1.0", args);
    return [requestedIps.join(), requestedMac?.slice(-2)];
  };
  const cni = { args: { cni: { ips: ["10.86.0.4/24", "fd00::4"], mac: "02:00:00:00:00:04" } } };
  const runtime = { ips: ["10.86.0.5", "10.86.0.5/24"], mac: "02:00:00:00:00:05" };
  const rows: [unknown[], unknown[]][] = [
    [wanted({}, ""), ["", undefined]],
    [wanted({}), ["10.86.0.3", "03"]],
    [wanted(cni), ["10.86.0.4,fd00::4", "04"]],
    [wanted({ ...cni, runtimeConfig: runtime }), ["10.86.0.5", "05"]],
    [wanted({ runtimeConfig: { ips: ["fd00::5/64", "10.86.0.5", "FD00::5"] } }), [
      "fd00::5,10.86.0.5",
      "03",
    ]],
    // An empty list requests nothing.
    [wanted({ ...cni, runtimeConfig: { ips: [], mac: null } }), ["10.86.0.4,fd00::4", "04"]],
  ];
  for (const [found, expected] of rows) assertEquals(found, expected);
  refused({ ...NET, runtimeConfig: { mac: "x" } }, 7, "runtimeConfig.mac");
  refused({ ...NET, runtimeConfig: { ips: ["x"] } }, 7, "runtimeConfig.ips[0]");
  refused({ ...NET, args: { cni: { ips: "10.86.0.4" } } }, 7, "args.cni.ips");
});
