import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatInterfaceAddress, parseInterfaceAddress } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { type BridgeSpec, checkPorts, isSame, planBridge } from "../../../lib/netops/bridge.ts";
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

/** The change that the plan makes, without any if it is ready. */
function change(spec: BridgeSpec, found: Link) {
  const plan = planBridge(spec, found);
  assert(plan.kind !== "unusable");
  return plan.kind === "change" ? plan : { commands: [], replaced: [], added: [] };
}

Deno.test("planBridge() returns the addresses that it replaces, and their replacements", () => {
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
    const made = change(forced, bridge({ addresses: addresses(...found) }));
    assertEquals(made.replaced.map(formatInterfaceAddress), replaced, found.join());
    assertEquals(made.added.map(formatInterfaceAddress), added, found.join());
  }
});

Deno.test("planBridge() leaves addresses from router advertisements, and sets promiscuous mode", () => {
  const [learnt] = addresses("fd00:88::9/64");
  const found = bridge({
    addresses: [
      ...addresses("10.86.0.1/24"),
      ...(learnt === undefined ? [] : [{ ...learnt, isDynamic: true }]),
    ],
  });
  const { replaced, added } = change({ ...BR0, ...BOTH, forceAddress: true }, found);
  assertEquals([replaced, added], [[], [SIX]]);
  const spec = { ...BR0, promiscuous: true };
  assertEquals(planBridge(spec, bridge({ promiscuous: true })).kind, "ready");
  assertEquals(change(spec, bridge()).commands, [
    ["link", "set", "dev", "br0", "promisc", "on", "up"],
  ]);
});

Deno.test("planBridge() refuses an interface that can't become the bridge", () => {
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
    const plan = planBridge({ ...BR0, ...spec }, bridge(changes));
    assert(plan.kind === "unusable", message);
    const { error } = plan;
    assertEquals(error.code, 105);
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.message, '"br0"');
  }
  const plan = planBridge({ ...BR0, ...BOTH }, bridge({ addresses: addresses("10.86.0.9/24") }));
  assert(plan.kind === "unusable");
  const { message, details } = plan.error;
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
