import { assertEquals, assertThrows } from "@std/assert";
import { bridgeCommands, type BridgeSpec, checkPorts } from "../lib/bridge.ts";
import { CniError } from "../lib/errors.ts";
import { type Link, parseLink } from "../lib/links.ts";
import { BR0 } from "./br0.ts";

function bridge(changes: Partial<Link> = {}): Link {
  return {
    ...parseLink({ ifname: "br0", flags: ["UP"], linkinfo: { info_kind: "bridge" } }),
    addresses: ["10.88.0.1/24"],
    ...changes,
  };
}

Deno.test("bridgeCommands() does what is missing and nothing else", () => {
  const make = "link add name br0 address 0a:58:0a:58:00:01 mtu 1500 type bridge";
  const address = "addr add 10.88.0.1/24 brd + dev br0";
  const wake = "link set dev br0 up";
  const rows: [string, Partial<BridgeSpec>, Link | undefined, string[]][] = [
    ["as it must be", {}, bridge(), []],
    ["missing", {}, undefined, [make, address, wake]],
    ["missing, the kernel's MTU", { mtu: undefined }, undefined, [
      "link add name br0 address 0a:58:0a:58:00:01 type bridge",
      address,
      wake,
    ]],
    ["missing, no gateway", { gateway: undefined }, undefined, [make, wake]],
    ["down", {}, bridge({ up: false }), [wake]],
    ["without address", {}, bridge({ addresses: [] }), [address]],
    ["another address beside ours", {}, bridge({ addresses: ["10.1.0.1/24", "10.88.0.1/24"] }), []],
    [
      "another address, not ours to look at",
      { gateway: undefined },
      bridge({ addresses: ["10.1.0.1/8"] }),
      [],
    ],
    ["another address, forced", { forceAddress: true }, bridge({ addresses: ["10.1.0.1/8"] }), [
      "addr del 10.1.0.1/8 dev br0",
      address,
    ]],
    ["promiscuous", { promiscuous: true }, bridge(), ["link set dev br0 promisc on up"]],
    ["promiscuous already", { promiscuous: true }, bridge({ promiscuous: true }), []],
    ["promiscuous, not asked for", {}, bridge({ promiscuous: true }), []],
  ];
  for (const [name, changes, found, commands] of rows) {
    assertEquals(
      bridgeCommands({ ...BR0, ...changes }, found).map((it) => it.join(" ")),
      commands,
      name,
    );
  }
});

Deno.test("bridgeCommands() refuses what can't be made the bridge", () => {
  const rows: [Partial<Link>, string][] = [
    [{ kind: "veth" }, "it is a veth"],
    [{ kind: "" }, "an interface of another kind"],
    [{ addresses: ["10.1.0.1/24"] }, "it has 10.1.0.1/24"],
    [{ addresses: ["110.88.0.1/24"] }, "it has 110.88.0.1/24"],
    [{ addresses: ["10.88.0.1/16"] }, "it has 10.88.0.1/16"],
  ];
  for (const [changes, message] of rows) {
    const error = assertThrows(() => bridgeCommands(BR0, bridge(changes)), CniError, message);
    assertEquals(error.code, 105);
  }
});

Deno.test("checkPorts() knows the kernel's limit", () => {
  const port = (master: string) => bridge({ kind: "veth", master });
  const nearly = Array.from({ length: 1022 }, () => port("br0"));
  checkPorts(BR0.name, [...nearly, port("br1"), port("br1")]);
  const error = assertThrows(
    () => checkPorts(BR0.name, [...nearly, port("br0")]),
    CniError,
    "1023 ports",
  );
  assertEquals(error.code, 105);
});
