import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatInterfaceAddress, parseInterfaceAddress } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { bridgeChange, type BridgeSpec, checkPorts, isSame } from "../../../lib/netops/bridge.ts";
import { type Link, type LinkAddress, parseLink } from "../../../lib/netops/links.ts";
import { BR0 } from "./br0.ts";

function addresses(...texts: string[]): LinkAddress[] {
  return texts.map((text) => ({ ...parseInterfaceAddress(text), isDynamic: false }));
}

function bridge(changes: Partial<Link> = {}): Link {
  return {
    ...parseLink({ ifname: "br0", flags: ["UP"], linkinfo: { info_kind: "bridge" } }),
    addresses: addresses("10.86.0.1/24"),
    ...changes,
  };
}

const SIX = parseInterfaceAddress("fd00:88::1/64");
const BOTH = { gateways: [...BR0.gateways, SIX] };

Deno.test("bridgeChange() returns the addresses that it replaces, and their replacements", () => {
  const forced = { ...BR0, ...BOTH, forceAddress: true };
  const rows: [string[], string[], string[]][] = [
    [["10.86.0.1/24", "fd00:88::1/64"], [], []],
    [[], [], ["10.86.0.1/24", "fd00:88::1/64"]],
    [["10.1.0.1/8", "fd00:88::9/64"], ["10.1.0.1/8", "fd00:88::9/64"], [
      "10.86.0.1/24",
      "fd00:88::1/64",
    ]],
    [["10.1.0.1/8", "10.86.0.1/24", "fd00:88::1/64"], [], []],
  ];
  for (const [found, replaced, added] of rows) {
    const change = bridgeChange(forced, bridge({ addresses: addresses(...found) }));
    assertEquals(change.replaced.map(formatInterfaceAddress), replaced, found.join());
    assertEquals(change.added.map(formatInterfaceAddress), added, found.join());
  }
});

Deno.test("bridgeChange() leaves addresses from router advertisements, and sets promiscuous mode", () => {
  const [learnt] = addresses("fd00:88::9/64");
  const found = bridge({
    addresses: [
      ...addresses("10.86.0.1/24"),
      ...(learnt === undefined ? [] : [{ ...learnt, isDynamic: true }]),
    ],
  });
  const change = bridgeChange({ ...BR0, ...BOTH, forceAddress: true }, found);
  assertEquals([change.replaced, change.added], [[], [SIX]]);
  const spec = { ...BR0, promiscuous: true };
  assertEquals(bridgeChange(spec, bridge({ promiscuous: true })).commands, []);
  assertEquals(bridgeChange(spec, bridge()).commands, [
    ["link", "set", "dev", "br0", "promisc", "on", "up"],
  ]);
});

Deno.test("bridgeChange() refuses an interface that can't become the bridge", () => {
  const rows: [Partial<Link>, string, Partial<BridgeSpec>][] = [
    [{ kind: "veth" }, "it is a veth", {}],
    [{ kind: "" }, "an interface of another kind", {}],
    [{ kind: "veth" }, "it is a veth", { gateways: [], forceAddress: true }],
    [{ addresses: addresses("10.1.0.1/24") }, "it has 10.1.0.1/24", {}],
    [{ addresses: addresses("110.86.0.1/24") }, "it has 110.86.0.1/24", {}],
    [{ addresses: addresses("10.86.0.1/16") }, "it has 10.86.0.1/16", {}],
    [
      { addresses: addresses("10.1.0.1/24", "10.86.0.9/24") },
      "it has 10.1.0.1/24, 10.86.0.9/24",
      {},
    ],
    [{ addresses: addresses("fd00:88::9/64") }, "it has fd00:88::9/64", BOTH],
    [{ addresses: addresses("fd00:88::1/48") }, "it has fd00:88::1/48", BOTH],
    [{ addresses: addresses("fd00:88::1/128") }, "it has fd00:88::1/128", BOTH],
    [
      { bridge: { followsPorts: false, stp: false, snoops: false, dropsUntagged: true } },
      "it filters VLANs and gives a new port none",
      {},
    ],
  ];
  for (const [changes, message, spec] of rows) {
    const change = () => bridgeChange({ ...BR0, ...spec }, bridge(changes));
    const error = assertThrows(change, CniError, message);
    assertEquals(error.code, 105);
    assertStringIncludes(error.message, '"br0"');
  }
  const change = () =>
    bridgeChange({ ...BR0, ...BOTH }, bridge({ addresses: addresses("10.86.0.9/24") }));
  const { message, details } = assertThrows(change, CniError);
  assertStringIncludes(message, "the bridge of 10.86.0.1/24, fd00:88::1/64: it has 10.86.0.9/24");
  assertStringIncludes(details, "set gateway and subnet to those of the bridge");
});

Deno.test("isSame() compares address and prefix length", () => {
  const rows: [string, string, boolean][] = [
    ["10.86.0.1/24", "10.86.0.1/24", true],
    ["FD00::1/64", "fd00::1/64", true],
    ["110.22.0.1/24", "10.22.0.1/24", false],
    ["10.22.0.1/24", "10.22.0.1/16", false],
  ];
  for (const [left, right, same] of rows) {
    assertEquals(isSame(parseInterfaceAddress(left), parseInterfaceAddress(right)), same);
  }
});

Deno.test("checkPorts() enforces the kernel's limit", () => {
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
