import { assertEquals } from "@std/assert";
import { formatRanges } from "../../../lib/base/range.ts";
import { config, NET, refused } from "../../podnet.ts";

/** A configuration of bridge + host-local. */
function local(ipam: object, more: object = {}): object {
  return { name: "podnet", type: "atomicni", ...more, ipam: { type: "host-local", ...ipam } };
}

Deno.test("a range is inside its subnet, ordered, and has an address that a host may have", () => {
  const subnet = "10.9.0.0/24";
  const good: [object, string][] = [
    [{ rangeStart: "10.9.0.7" }, "10.9.0.7 10.9.0.254"],
    [{ rangeEnd: "10.9.0.7" }, "10.9.0.1 10.9.0.7"],
    // Reserved ends are cut off.
    [{ rangeStart: "10.9.0.0", rangeEnd: "10.9.0.255" }, "10.9.0.1 10.9.0.254"],
    [{ rangeStart: "10.9.0.254", rangeEnd: "10.9.0.255" }, "10.9.0.254 10.9.0.254"],
  ];
  for (const [ends, written] of good) {
    assertEquals(
      formatRanges(config(local({ subnet, ...ends })).sets),
      `${subnet} ${written} 10.9.0.1`,
    );
  }
  const six = { subnet: "fd00:9::/126", rangeStart: "fd00:9::", rangeEnd: "fd00:9::3" };
  assertEquals(formatRanges(config(local(six)).sets), "fd00:9::/126 fd00:9::1 fd00:9::3 fd00:9::1");
  const rows: [object, string][] = [
    [{ subnet, rangeStart: "10.9.1.0" }, "ipam.rangeStart"],
    [{ subnet, rangeEnd: "10.9.1.0" }, "ipam.rangeEnd"],
    [{ subnet, rangeStart: "10.9.0.9", rangeEnd: "10.9.0.8" }, "before the start"],
    [{ subnet, rangeStart: "10.9.0.0", rangeEnd: "10.9.0.0" }, "the network address alone"],
    [{ subnet, rangeStart: "10.9.0.255", rangeEnd: "10.9.0.255" }, "the broadcast address alone"],
    [{ ...six, rangeEnd: "fd00:9::" }, "the subnet-router anycast address alone"],
    [{ subnet, rangeStart: "fd00::1" }, "it is of IPv6"],
    [{ subnet, gateway: "fd00::1" }, "it is of IPv6"],
    [{ subnet: "10.9.0.1/24" }, "the network is 10.9.0.0/24"],
    [{ subnet: 7 }, "ipam.subnet 7"],
    [{ ranges: {} }, "ipam.ranges {} as a list"],
    [{ ranges: [{}] }, "ipam.ranges[0] {} as a list"],
    [{ ranges: [[]] }, "set 0 is empty"],
    [{ subnet, ranges: [[7]] }, "a range is not an object"],
    [{ ranges: [[{}]] }, '"ipam.ranges[0][0].subnet" is required'],
    [{ ranges: [[{ subnet }, { subnet: "fd00::/64" }]] }, "set 0 mixes 10.9.0.0/24 and fd00::/64"],
    [{ ranges: [[{ subnet, rangeStart: "10.8.0.1" }]] }, "ipam.ranges[0][0].rangeStart"],
  ];
  for (const [ipam, message] of rows) refused(local(ipam), 7, message);
});

Deno.test("no address is in two ranges of one set or of two sets", () => {
  const at = (rangeStart: string, rangeEnd: string) => ({
    subnet: "10.9.0.0/24",
    rangeStart,
    rangeEnd,
  });
  const [low, high] = [at("10.9.0.10", "10.9.0.20"), at("10.9.0.21", "10.9.0.30")];
  for (const ranges of [[[low, high]], [[low], [high]]]) {
    assertEquals(config(local({ ranges })).sets.length, ranges.length);
  }
  const others = [
    at("10.9.0.20", "10.9.0.30"),
    at("10.9.0.1", "10.9.0.10"),
    at("10.9.0.12", "10.9.0.13"),
    at("10.9.0.1", "10.9.0.99"),
    { subnet: "10.9.0.0/16" },
  ];
  for (const other of others) {
    for (
      const ranges of [[[low, other]], [[other, low]], [[low], [other]], [[high, low], [other]], [[
        low,
        high,
      ], [other]]]
    ) {
      refused(local({ ranges }), 7, "as two ranges: they overlap");
    }
  }
  refused(local({ subnet: "10.9.0.0/24", ranges: [[low]] }), 7, "they overlap");
  const six = { subnet: "fd00::/64", rangeStart: "fd00::5" };
  refused(local({ ranges: [[six], [{ subnet: "fd00::/64" }]] }), 7, "they overlap");
});

Deno.test("runtimeConfig.ipRanges narrows the pool of its family in the plugin's own dialect", () => {
  const SIX = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
  const four = { subnet: "10.86.0.0/24", rangeStart: "10.86.0.9", rangeEnd: "10.86.0.20" };
  const six = { subnet: "fd00:88::/64", rangeStart: "fd00:88::9", rangeEnd: "fd00:88::20" };
  const NINE = { ...NET, ipam: { rangeStart: "10.86.0.9", rangeEnd: "10.86.0.20" } };
  const TWO = "10.86.0.9 10.86.0.20,10.86.0.30 10.86.0.40";
  const asked = (base: object, ...ipRanges: object[][]) => ({
    ...base,
    runtimeConfig: { ipRanges },
  });
  const taken: [object, string][] = [
    [asked(NET, [four]), "10.86.0.9 10.86.0.20"],
    [asked(SIX, [six]), "10.86.0.1 10.86.0.254;fd00:88::9 fd00:88::20"],
    [asked(SIX, [six], [four]), "10.86.0.9 10.86.0.20;fd00:88::9 fd00:88::20"],
    [asked(NET), "10.86.0.1 10.86.0.254"],
    // The default ends are those of the network; a set may have several ranges.
    [asked(NINE, [{ subnet: "10.86.0.0/24" }]), "10.86.0.9 10.86.0.20"],
    [asked(NINE, [{ ...four, rangeStart: "", gateway: "" }]), "10.86.0.9 10.86.0.20"],
    [asked(NET, [four, { ...four, rangeStart: "10.86.0.30", rangeEnd: "10.86.0.40" }]), TWO],
    // Ends that no host may have are cut off first.
    [asked(NET, [{ ...four, rangeStart: "10.86.0.0" }]), "10.86.0.1 10.86.0.20"],
  ];
  for (const [value, ends] of taken) {
    const { sets, configuredSets } = config(value);
    assertEquals(configuredSets, config({ ...value, runtimeConfig: {} }).sets);
    const found = sets.map((set) => set.map(({ start, end }) => `${start} ${end}`).join(","));
    assertEquals(found.join(";"), ends);
    // The gateway of the network stays.
    assertEquals(
      sets.flat().map(({ gateway }) => gateway).map(String).filter((it) => !/[.:]1$/.test(it)),
      [],
    );
  }
  const seventh = { ...NET, gateway: "10.86.0.7" };
  assertEquals<unknown>(config(asked(seventh, [four])).sets[0]?.[0]?.gateway, "10.86.0.7");
  refused(asked(NET, [{ subnet: "10.87.0.0/24" }]), 7, "a part of the pool");
  refused(asked(NET, [{ subnet: "10.86.0.0/16" }]), 7, "the network's subnet is 10.86.0.0/24");
  refused(asked(NET, [six]), 7, "the network has no IPv6 subnet");
  refused(asked(NET, [four], [{ subnet: 7 }]), 7, "runtimeConfig.ipRanges[1][0].subnet 7");
  const other = { subnet: "10.99.0.0/24" };
  const rows: [object, string][] = [
    [asked(NET, [four, other]), 'ipRanges[0][1].subnet "10.99.0.0/24"'],
    [asked(NET, [four, { ...four, rangeStart: "10.86.0.20" }]), "they overlap"],
    [asked(NET, [four], [{ ...four, rangeStart: "10.86.0.40", rangeEnd: "10.86.0.50" }]), "[1][0]"],
    [asked(NINE, [{ ...four, rangeStart: "10.86.0.8" }]), 'ipRanges[0][0].rangeStart "10.86.0.8"'],
    [asked(NINE, [{ ...four, rangeEnd: "10.86.0.21" }]), "has 10.86.0.9 - 10.86.0.20"],
    [asked(NET, [{ ...four, gateway: "10.86.0.2" }]), 'ipRanges[0][0].gateway "10.86.0.2"'],
    [
      asked(NET, [{ rangeStart: "10.86.0.9" }]),
      '"runtimeConfig.ipRanges[0][0].subnet" is required',
    ],
  ];
  for (const [value, message] of rows) refused(value, 7, message);
});

Deno.test("runtimeConfig.ipRanges come before host-local's own sets", () => {
  const first = [{ subnet: "10.7.0.0/30" }];
  const value = local({ subnet: "10.9.0.0/30", ranges: [[{ subnet: "fd00::/126" }]] }, {
    runtimeConfig: { ipRanges: [first] },
  });
  assertEquals(
    formatRanges(config(value).sets),
    "10.7.0.0/30 10.7.0.1 10.7.0.2 10.7.0.1;10.9.0.0/30 10.9.0.1 10.9.0.2 10.9.0.1;" +
      "fd00::/126 fd00::1 fd00::3 fd00::1",
  );
  assertEquals(config(value).configuredSets, config(value).sets.slice(1));
  const alone = config(local({}, { runtimeConfig: { ipRanges: [first] } }));
  assertEquals([alone.sets.length, alone.configuredSets.length], [1, 0]);
  refused(
    local({ subnet: "10.7.0.0/16" }, { runtimeConfig: { ipRanges: [first] } }),
    7,
    "they overlap",
  );
});

Deno.test("an empty string counts as an absent range end, gateway or MAC", () => {
  const empty = { rangeStart: "", rangeEnd: "", gateway: "" };
  const subnet = "10.9.0.0/24";
  assertEquals(config(local({ subnet, ...empty })), config(local({ subnet })));
  assertEquals(config(local({ ranges: [[{ subnet, ...empty }]] })), config(local({ subnet })));
  const route = { dst: "10.1.0.0/16" };
  assertEquals(
    config(local({ subnet, routes: [{ ...route, gw: "" }] })),
    config(local({ subnet, routes: [route] })),
  );
  const more = { runtimeConfig: { mac: "" }, args: { cni: { mac: "" } } };
  assertEquals(config(local({ subnet }, more)), config(local({ subnet })));
  assertEquals(config({ ...NET, ...more, subnet6: "", gateway6: "", ipam: empty }), config(NET));
  refused({ ...NET, gateway: "" }, 7, 'gateway ""');
  refused(local({ subnet: "" }), 7, 'ipam.subnet ""');
});
