import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Json } from "../../integration/host.ts";
import { hostLocal, type Lab, refused, type Row, row } from "../lab.ts";

/** A configuration with these range sets of host-local and nothing else in `ipam`. */
export function ranges(sets: Json, change: Json = {}, ipam: Json = {}): Json {
  return hostLocal(change, { subnet: undefined, ranges: sets, ...ipam });
}

const V4 = { subnet: "10.86.0.0/24" };
const OTHER_V4 = { subnet: "10.87.0.0/24" };
const V6 = { subnet: "fd00:88::/64" };
const OTHER_V6 = { subnet: "fd00:89::/64" };
export const BOTH = [[V4], [V6]];

/** The addresses of a result, without prefix length. */
export const ips = (result: Json): string[] =>
  result.ips.map(({ address }: Json) => address.split("/")[0]);

const BAD_SETS: readonly (readonly [string, Json, RegExp])[] = [
  ["H1", { ranges: [[]] }, /ipam\.ranges .*set 0 is empty/],
  ["H1", { ranges: [[V4, V6]] }, /set 0 mixes 10\.86\.0\.0\/24 and fd00:88::\/64/],
  ["H1", { ranges: [[V4, V4]] }, /10\.86\.0\.1 - 10\.86\.0\.254.*two ranges: they overlap/],
  ["H1 H2", { ...V4, ranges: [[V4]] }, /they overlap/],
  ["H1 S2", { ranges: [["10.86.0.0/24"]] }, /ipam\.ranges .*not an object/],
  ["H3", { ranges: [[{}]] }, /"ipam\.ranges\[0\]\[0\]\.subnet" is required/],
  ["H3", { ranges: [[{ subnet: "fd00:88::/127" }]] }, /\/127 is too small/],
  ["H3", { ranges: [[{ subnet: "fe80::/64" }]] }, /fe80::\/64.*link-local/],
  ["H4", { ranges: [[{ ...V6, rangeStart: "fd00:89::5" }]] }, /rangeStart "fd00:89::5".*outside/],
  [
    "H4",
    { ranges: [[{ ...V6, rangeStart: "fd00:88::9", rangeEnd: "fd00:88::5" }]] },
    /rangeEnd "fd00:88::5".*before the start, fd00:88::9/,
  ],
  ["H5", { ranges: [[{ ...V6, gateway: "10.86.0.1" }]] }, /gateway "10\.86\.0\.1".*of IPv4/],
  ["H5 B2", { ranges: [[{ ...V6, gateway: "fd00:89::1" }]] }, /gateway .*outside the subnet/],
];

const SETS: readonly Row[] = [
  ...BAD_SETS.map(([rules, ipam, says]) =>
    refused(
      rules,
      `ipam ${JSON.stringify(ipam)}`,
      "ADD",
      { config: hostLocal({}, { subnet: undefined, ...ipam }) },
      7,
      says,
    )
  ),
  row(
    "H1 B2 B4",
    "two sets of IPv4: an address of each, both gateways on the bridge",
    async (lab) => {
      const config = ranges([[V4], [OTHER_V4]]);
      assertEquals(ips(await lab.add({ config })), ["10.86.0.2", "10.87.0.2"]);
      assertEquals(ips(await lab.add({ id: "c2", config })), ["10.86.0.3", "10.87.0.3"]);
      assertEquals(await lab.host.leases(), {
        "c1/eth0": ["10.86.0.2", "10.87.0.2"],
        "c2/eth0": ["10.86.0.3", "10.87.0.3"],
      });
      assertEquals(await lab.host.addresses("", "cni0"), ["10.86.0.1/24", "10.87.0.1/24"]);
      for (const gateway of ["10.86.0.1", "10.87.0.1"]) assert(await lab.host.pings("c2", gateway));
      await lab.silent("DEL", { config });
      await lab.silent("DEL", { id: "c2", config });
      await lab.host.assertNothingLeft();
    },
  ),
  row("H1", "three sets, IPv6 in the middle: addresses in the order of the sets", async (lab) => {
    const config = ranges([[V4], [V6], [OTHER_V6]], { isGateway: false });
    assertEquals(ips(await lab.add({ config })), ["10.86.0.2", "fd00:88::2", "fd00:89::2"]);
    const turned = ranges([[V6], [V4]], { name: "turned" });
    assertEquals(ips(await lab.add({ id: "c2", config: turned })), ["fd00:88::2", "10.86.0.2"]);
  }),
  row("H1 H2", "subnet directly in ipam is the first set", async (lab) => {
    const config = hostLocal({}, { subnet: "10.87.0.0/24", rangeStart: "10.87.0.7", ranges: BOTH });
    assertEquals(ips(await lab.add({ config })), ["10.87.0.7", "10.86.0.2", "fd00:88::2"]);
  }),
  row("H9 C4", "ipRanges of the runtime is the first set", async (lab) => {
    const runtimeConfig = { ipRanges: [[{ ...OTHER_V6, rangeStart: "fd00:89::50" }]] };
    const config = ranges(BOTH, { runtimeConfig });
    assertEquals(ips(await lab.add({ config })), ["fd00:89::50", "10.86.0.2", "fd00:88::2"]);
    const overlaps = ranges(BOTH, { runtimeConfig: { ipRanges: [[V6]] } });
    await lab.refuse("ADD", { id: "c2", config: overlaps }, 7, /they overlap.*ipRanges/);
  }),
  row("H9 C4", "in the plugin's own dialect ipRanges narrows the IPv6 pool", async (lab) => {
    const own = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
    const narrow = { ...V6, rangeStart: "fd00:88::70", rangeEnd: "fd00:88::70" };
    const config = { ...own, runtimeConfig: { ipRanges: [[narrow]] } };
    assertEquals(ips(await lab.add({ config })), ["10.86.0.2", "fd00:88::70"]);
    await lab.refuse("ADD", { id: "c2", config }, 101, /fd00:88::70 - fd00:88::70: all are held/);
    const wrong = { ...own, runtimeConfig: { ipRanges: [[OTHER_V6]] } };
    await lab.refuse("ADD", { id: "c2", config: wrong }, 7, /fd00:89::\/64.*is fd00:88::\/64/);
  }),
];

const POOL: readonly Row[] = [
  row("H12 H1", "ranges of one set: from one to the next, around, and full", async (lab) => {
    const config = ranges([[{ subnet: "10.86.0.0/30" }, { subnet: "10.87.0.0/30" }]]);
    assertEquals(ips(await lab.add({ config })), ["10.86.0.2"]);
    assertEquals(ips(await lab.add({ id: "c2", config })), ["10.87.0.2"]);
    const full = /10\.86\.0\.1 - 10\.86\.0\.2, 10\.87\.0\.1 - 10\.87\.0\.2: all are held/;
    await lab.refuse("ADD", { id: "c3", config }, 101, full);
    assertEquals(await lab.host.addresses("", "cni0"), ["10.86.0.1/30", "10.87.0.1/30"]);
    await lab.silent("DEL", { config });
    await lab.silent("DEL", { id: "c2", config });
    assertEquals(ips(await lab.add({ id: "c3", config })), ["10.86.0.2"]);
    // Each address has the prefix length and the gateway of its own range.
    const { ips: [given] } = await lab.add({ id: "c4", config });
    assertEquals(given, { interface: 2, address: "10.87.0.2/30", gateway: "10.87.0.1" });
  }),
  row(
    "H4 H12 H5",
    "a /126: all but the gateway and the anycast address, the last too",
    async (lab) => {
      const config = ranges([[{ subnet: "fd00:88::/126" }]]);
      assertEquals(ips(await lab.add({ config })), ["fd00:88::2"]);
      assertEquals(ips(await lab.add({ id: "c2", config })), ["fd00:88::3"]);
      await lab.refuse("ADD", { id: "c3", config }, 101, /fd00:88::1 - fd00:88::3: all are held/);
      await lab.silent("DEL", { config });
      assertEquals(ips(await lab.add({ id: "c3", config })), ["fd00:88::2"]);
    },
  ),
  row("H12", "the address allocated last is tried last", async (lab) => {
    const two = { ...V6, rangeStart: "fd00:88::5", rangeEnd: "fd00:88::6" };
    const config = ranges([[two]]);
    assertEquals(ips(await lab.add({ config })), ["fd00:88::5"]);
    assertEquals(ips(await lab.add({ id: "c2", config })), ["fd00:88::6"]);
    await lab.silent("DEL", { id: "c2", config });
    assertEquals(ips(await lab.add({ id: "c3", config })), ["fd00:88::6"]);
  }),
  row("H12", "the last allocated address is now outside: from the start", async (lab) => {
    await lab.add({ config: ranges([[V6]]) });
    await lab.silent("DEL", { config: ranges([[V6]]) });
    const config = ranges([[{ ...V6, rangeStart: "fd00:88::50", rangeEnd: "fd00:88::60" }]]);
    assertEquals(ips(await lab.add({ config })), ["fd00:88::50"]);
  }),
  row("H12 A3", "if the second set is full, the first one stays as it was", async (lab) => {
    const config = ranges([[V4], [{ ...V6, rangeStart: "fd00:88::5", rangeEnd: "fd00:88::5" }]]);
    await lab.add({ config });
    const before = await lab.host.state();
    await lab.refuse("ADD", { id: "c2", config }, 101, /fd00:88::5 - fd00:88::5: all are held/);
    assertEquals(await lab.host.state(), before);
    assertEquals(before.lastReserved, ["10.86.0.2", "fd00:88::5"]);
    await lab.silent("DEL", { config });
    assertEquals(ips(await lab.add({ id: "c2", config })), ["10.86.0.3", "fd00:88::5"]);
  }),
  row("H12", "an IPv6 address at the IPv4 address's offset, if that is free", async (lab) => {
    const config = ranges(BOTH);
    const asked = { ...config, runtimeConfig: { ips: ["10.86.0.40"] } };
    const { interfaces, ips: given } = await lab.add({ config: asked });
    assertEquals(ips({ ips: given }), ["10.86.0.40", "fd00:88::28"]);
    assertEquals(interfaces[2].mac, "0a:58:0a:56:00:28");
    await lab.add({ id: "c2", config: { ...config, runtimeConfig: { ips: ["fd00:88::29"] } } });
    const { ips: next } = await lab.add({ id: "c3", config });
    assertEquals(new Set(Object.values(await lab.host.leases()).flat()).size, 6);
    assert(next[1].address !== "fd00:88::29/64", JSON.stringify(next));
  }),
  row("H14", "DEL frees every address, even if the ranges have changed", async (lab) => {
    await lab.add({ config: ranges([[V4], [V6], [OTHER_V6]]) });
    assertEquals((await lab.host.leases())["c1/eth0"].length, 3);
    await lab.silent("DEL", { config: ranges([[OTHER_V4]]) });
    await lab.host.assertNothingLeft();
  }),
  row("H7 Q2", "both families in one file below dataDir", async (lab) => {
    const config = ranges(BOTH, {}, { dataDir: "/var/lib/atomicni/pool" });
    await lab.add({ config });
    assertEquals(await lab.host.files(), ["./pool", "./pool/podnet.json", "./pool/podnet.lock"]);
    await lab.silent("DEL", { config });
  }),
];

const ask = (wanted: readonly string[], sets: Json = BOTH) =>
  ranges(sets, { runtimeConfig: { ips: wanted } });

const REFUSED_ASKS: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["the gateway of IPv6", ["10.86.0.9", "fd00:88::1"], /"fd00:88::1".*it is the gateway/],
  ["the anycast address", ["fd00:88::"], /"fd00:88::".*reserved in the subnet/],
  [
    "one of two outside",
    ["10.86.0.9", "fd00:99::5"],
    /"fd00:99::5".*outside 10\.86\.0\.0\/24, fd00/,
  ],
  ["two of one set", ["fd00:88::5", "fd00:88::6"], /"fd00:88::6".*fd00:88::5 is requested too/],
];

const REQUESTED: readonly Row[] = [
  row(
    "H10 C3",
    "one of each set, in any order and spelling, with and without prefix",
    async (lab) => {
      const config = ask(["FD00:88:0:0::0042/64", "10.86.0.77"]);
      assertEquals((await lab.add({ config })).ips.map((it: Json) => it.address), [
        "10.86.0.77/24",
        "fd00:88::42/64",
      ]);
      assertEquals(await lab.addresses("c1", "eth0"), ["10.86.0.77/24", "fd00:88::42/64"]);
    },
  ),
  row("H10 C3", "an address of one set requested: the other is chosen", async (lab) => {
    assertEquals(ips(await lab.add({ config: ask(["fd00:88::42"]) })), [
      "10.86.0.2",
      "fd00:88::42",
    ]);
    const config = ranges(BOTH);
    const { ips: given } = await lab.add({ id: "c2", config, args: "IP=fd00:88::43" });
    assertEquals(ips({ ips: given }), ["10.86.0.3", "fd00:88::43"]);
    const byArgs = { ...config, args: { cni: { ips: ["10.86.0.50", "fd00:88::51"] } } };
    assertEquals(ips(await lab.add({ id: "c3", config: byArgs })), ["10.86.0.50", "fd00:88::51"]);
  }),
  row("H10", "two of two sets of one family", async (lab) => {
    const config = ask(["10.87.0.9", "10.86.0.7"], [[V4], [OTHER_V4]]);
    assertEquals(ips(await lab.add({ config })), ["10.86.0.7", "10.87.0.9"]);
  }),
  row("H10 A3", "one of two is held: neither is taken", async (lab) => {
    await lab.add({ config: ask(["10.86.0.7", "fd00:88::7"]) });
    const wanted = ask(["10.86.0.8", "fd00:88::7"]);
    await lab.refuse("ADD", { id: "c2", config: wanted }, 102, /"fd00:88::7".*"c1\/eth0" holds it/);
    assertEquals(ips(await lab.add({ id: "c3", config: ask(["10.86.0.8"]) }))[0], "10.86.0.8");
  }),
  ...REFUSED_ASKS.map(([what, wanted, says]) =>
    refused("H10 H5", `requested: ${what}`, "ADD", { config: ask(wanted) }, 102, says)
  ),
  row(
    "A2 H10 H14",
    "ADD again with requested addresses leaves the attachment as it is",
    async (lab) => {
      const config = ask(["10.86.0.7", "fd00:88::7"]);
      await lab.add({ config });
      const before = await lab.host.state();
      for (const again of [config, ask(["10.86.0.8", "fd00:88::8"])]) {
        await lab.refuse(
          "ADD",
          { config: again },
          103,
          /belongs to "podnet\/c1\/eth0".*DEL it first/,
        );
      }
      assertEquals(await lab.host.state(), before);
      for (const gateway of ["10.86.0.1", "fd00:88::1"]) {
        assert(
          await lab.host.pings("c1", gateway),
        );
      }
    },
  ),
  ...["0.1.0", "0.2.0"].map((cniVersion) =>
    row("H13 R4", `two addresses of one family in ${cniVersion}`, async (lab: Lab) => {
      const config = ranges([[V4], [OTHER_V4]], { cniVersion });
      const says = new RegExp(
        `CNI version ${cniVersion} does not support more than 1 address per family`,
      );
      await lab.refuse("ADD", { config }, 7, says);
      assertEquals(await lab.host.links(), []);
      await lab.add({ config: ranges([[V4], [OTHER_V4]]) });
      await lab.silent("DEL", { config });
      await lab.host.assertNothingLeft();
    })
  ),
];

export const RANGES: readonly Row[] = [...SETS, ...POOL, ...REQUESTED];
