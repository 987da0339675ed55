import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { hostLocal, messageOf, refused, type Row, row } from "../lab.ts";

/** Keys of the reference that are refused by name: code 2, key and value in the message. */
const UNSUPPORTED: readonly (readonly [string, Json, RegExp])[] = [
  ["B5 Q5", hostLocal({ ipMasq: true }), /"ipMasq": true.*masquerade/],
  ["B10", hostLocal({ vlan: 100 }), /"vlan": 100/],
  ["B11", hostLocal({ vlanTrunk: [{ id: 5 }] }), /"vlanTrunk": \[\{"id":5\}\]/],
  ["B14", hostLocal({ enabledad: true }), /"enabledad": true.*leave it out/],
  ["Q1", hostLocal({}, { type: "dhcp" }), /"ipam\.type": "dhcp"/],
  ["Q1", { ...CONFIG, ipam: { type: "static" } }, /"ipam\.type": "static"/],
  [
    "H7 Q2",
    hostLocal({}, { dataDir: "/var/lib/cni/networks" }),
    /ipam\.dataDir "\/var\/lib\/cni\/networks".*outside/,
  ],
  ["H7 Q2", hostLocal({}, { dataDir: "/var/lib/atomicni/../x" }), /ipam\.dataDir/],
  [
    "H8",
    hostLocal({}, { resolvConf: "/etc/resolv.conf" }),
    /ipam\.resolvConf "\/etc\/resolv\.conf".*outside/,
  ],
];
const BAD_POOLS: readonly (readonly [string, Json, RegExp])[] = [
  ["H1", { subnet: undefined }, /"ipam\.subnet" is required.*or "ranges"/],
  ["H3", { subnet: "10.86.0.1/24" }, /host bits are set; the network is 10\.86\.0\.0\/24/],
  ["H4", { rangeStart: "10.87.0.5" }, /rangeStart "10\.87\.0\.5".*outside/],
  ["H5 B2", { gateway: "10.99.0.1" }, /gateway "10\.99\.0\.1".*outside the subnet/],
];

/** The configuration that flannel's plugin writes for its delegate, from kube-flannel's own list with `type` set. */
const FLANNEL = {
  cniVersion: "1.0.0",
  name: "cbr0",
  type: "atomicni",
  bridge: undefined,
  hairpinMode: true,
  isDefaultGateway: true,
  ipMasq: false,
  mtu: 1450,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.244.1.0/24" }]],
    routes: [{ dst: "10.244.0.0/16" }],
  },
};

const KEYS: readonly Row[] = [
  row("B3 H1 B8 B7", "the configuration that flannel writes for its delegate", async (lab) => {
    const { interfaces, ips, routes } = await lab.add({ config: FLANNEL });
    assertEquals([interfaces[0].name, ips[0].address], ["cni0", "10.244.1.2/24"]);
    assertEquals(routes, [{ dst: "10.244.0.0/16" }, { dst: "0.0.0.0/0", gw: "10.244.1.1" }]);
    assertEquals((await lab.inside()).mtu, 1450);
    const set = await lab.routes("c1");
    const seen = set.filter(({ gateway }) => gateway !== undefined);
    assertEquals(seen.map(({ dst, gateway }) => [dst, gateway]), [
      ["default", "10.244.1.1"],
      ["10.244.0.0/16", "10.244.1.1"],
    ]);
    await lab.silent("DEL", { config: FLANNEL });
    await lab.host.assertNothingLeft("cbr0");
  }),
  row("B1", "the bridge is created, reused, and not deleted", async (lab) => {
    await lab.add({ config: hostLocal() });
    const { ifindex } = await lab.link("cni0");
    await lab.add({ id: "c2", config: hostLocal() });
    await lab.silent("DEL", { config: hostLocal() });
    await lab.silent("DEL", { id: "c2", config: hostLocal() });
    assertEquals((await lab.link("cni0")).ifindex, ifindex);
  }),
  row("B1", "bridge is cni0 where it is left out", async (lab) => {
    assertEquals(
      (await lab.add({ config: hostLocal({ bridge: undefined }) })).interfaces[0].name,
      "cni0",
    );
  }),
  row("B1", "a bridge that is down is set up", async (lab) => {
    await lab.host.sh("ip link add cni0 type bridge");
    await lab.add({ config: hostLocal() });
    assert((await lab.link("cni0")).flags.includes("UP"));
  }),
  row("B2 B3", "no gateway flag: no address on the bridge, no default route", async (lab) => {
    const { routes, ips } = await lab.add({ config: hostLocal({ isGateway: false }) });
    assertEquals([await lab.host.addresses("", "cni0"), routes, ips[0].gateway], [
      [],
      undefined,
      "10.86.0.1",
    ]);
    assertEquals((await lab.routes()).map(({ dst }) => dst), ["10.86.0.0/24"]);
  }),
  row("B2 B3", "isGateway alone: the address, and no default route", async (lab) => {
    assertEquals((await lab.add({ config: hostLocal() })).routes, undefined);
    assertEquals(await lab.host.addresses("", "cni0"), ["10.86.0.1/24"]);
  }),
  row("B3", "isDefaultGateway: address and default route", async (lab) => {
    const { routes } = await lab.add({
      config: hostLocal({ isGateway: undefined, isDefaultGateway: true }),
    });
    assertEquals([routes, await lab.host.addresses("", "cni0")], [[{
      dst: "0.0.0.0/0",
      gw: "10.86.0.1",
    }], ["10.86.0.1/24"]]);
    assertEquals((await lab.routes("c1", "default"))[0].gateway, "10.86.0.1");
  }),
  row(
    "B3",
    "isDefaultGateway and a configured default route: only one route",
    async (lab) => {
      for (
        const [id, route] of [["c1", { dst: "0.0.0.0/0" }], ["c2", {
          dst: "0.0.0.0/0",
          gw: "10.86.0.9",
        }]] as const
      ) {
        const config = hostLocal({ isDefaultGateway: true }, { routes: [route] });
        assertEquals((await lab.add({ id, config })).routes, [route]);
        assertEquals((await lab.routes(id, "default")).map(({ gateway }) => gateway), [
          "gw" in route ? "10.86.0.9" : "10.86.0.1",
        ]);
      }
    },
  ),
  row(
    "B4 P24",
    "another address on the bridge: refused, or replaced by forceAddress",
    async (lab) => {
      await lab.host.sh(
        "ip link add cni0 type bridge && ip link set dev cni0 up && ip addr add 10.1.1.1/24 dev cni0",
      );
      await lab.refuse(
        "ADD",
        { config: hostLocal() },
        105,
        /"cni0".*10\.86\.0\.1\/24: it has 10\.1\.1\.1\/24/,
      );
      await lab.add({ config: hostLocal({ forceAddress: true }) });
      assertEquals(await lab.host.addresses("", "cni0"), ["10.86.0.1/24"]);
    },
  ),
  row("B7", "mtu: bridge, both ends, result", async (lab) => {
    const config = hostLocal({ mtu: 1400, cniVersion: "1.1.0" });
    const { interfaces } = await lab.add({ config });
    assertEquals(interfaces.map((it: Json) => it.mtu), [1400, 1400, 1400]);
    assertEquals([
      (await lab.link("cni0")).mtu,
      (await lab.link(interfaces[1].name)).mtu,
      (await lab.inside()).mtu,
    ], [1400, 1400, 1400]);
  }),
  row("B7", "mtu 0 means the kernel's default", async (lab) => {
    await lab.add({ config: hostLocal({ mtu: 0 }) });
    assertEquals((await lab.inside()).mtu, 1500);
  }),
  refused("B7", "mtu 20", "ADD", { config: hostLocal({ mtu: 20 }) }, 7, /mtu 20 .*68 to 65535/),
  row("B8 B16 I5", "hairpin mode and isolation on the host's end", async (lab) => {
    const port = async (config: Json, id: string) => {
      const { interfaces } = await lab.add({ config, id });
      const { hairpin, isolated } = (await lab.link(interfaces[1].name)).linkinfo.info_slave_data;
      return [hairpin, isolated];
    };
    assertEquals(await port(hostLocal(), "c1"), [false, false]);
    assertEquals(await port(hostLocal({ hairpinMode: true }), "c2"), [true, false]);
    assertEquals(await port(hostLocal({ portIsolation: true }), "c3"), [false, true]);
  }),
  refused(
    "B8 B9",
    "hairpinMode and promiscMode",
    "ADD",
    { config: hostLocal({ hairpinMode: true, promiscMode: true }) },
    7,
    /can't have both/,
  ),
  row("B9", "promiscMode", async (lab) => {
    await lab.add({ config: hostLocal({ promiscMode: true }) });
    assert((await lab.link("cni0")).flags.includes("PROMISC"));
  }),
  row(
    "B5 B10 B11 B13 B14 B15",
    "a key that is refused when set is accepted when off",
    async (lab) => {
      const off = {
        ipMasq: false,
        vlan: 0,
        vlanTrunk: [],
        macspoofchk: false,
        disableContainerInterface: false,
      };
      await lab.add({
        config: hostLocal({
          ...off,
          enabledad: false,
          preserveDefaultVlan: true,
          ipMasqBackend: "nftables",
        }),
      });
    },
  ),
  ...UNSUPPORTED.map(([rules, config, says]) =>
    refused(rules, `not supported: ${messageOf(says)}`, "ADD", { config }, 2, says)
  ),
  ...BAD_POOLS.map(([rules, ipam, says]) =>
    refused(rules, `ipam ${JSON.stringify(ipam)}`, "ADD", { config: hostLocal({}, ipam) }, 7, says)
  ),
  row("I3 H6", "two next hops for one destination", async (lab) => {
    const routes = [{ dst: "10.5.0.0/16", gw: "10.86.0.10" }, {
      dst: "10.5.0.0/16",
      gw: "10.86.0.11",
    }];
    assertEquals((await lab.add({ config: hostLocal({}, { routes }) })).routes, routes);
    assertEquals((await lab.routes("c1", "10.5.0.0/16")).map(({ gateway }) => gateway).sort(), [
      "10.86.0.10",
      "10.86.0.11",
    ]);
  }),
  row("I3 H6", "each key of a route is set", async (lab) => {
    const routes = [{
      dst: "10.5.0.0/16",
      gw: "10.86.0.10",
      mtu: 1400,
      advmss: 1300,
      priority: 50,
      table: 200,
    }, { dst: "10.6.0.0/16", scope: 253 }];
    await lab.add({ config: hostLocal({ cniVersion: "1.1.0" }, { routes }) });
    const [set] = await lab.routes("c1", "table", "200");
    assertEquals([set.dst, set.gateway, set.metric, set.metrics], [
      "10.5.0.0/16",
      "10.86.0.10",
      50,
      [{ mtu: 1400, advmss: 1300 }],
    ]);
    assertEquals((await lab.routes("c1", "10.6.0.0/16"))[0].scope, "link");
  }),
  row("I4", "the bridge keeps its MAC without ports", async (lab) => {
    await lab.add({ config: hostLocal({ isGateway: false }) });
    const { address } = await lab.link("cni0");
    await lab.silent("DEL", { config: hostLocal() });
    assertEquals((await lab.link("cni0")).address, address);
  }),
];

const POOL: readonly Row[] = [
  row("H1 H2 H4 H5", "ranges with one set of one range", async (lab) => {
    const ranges = [[{
      subnet: "10.86.0.0/24",
      rangeStart: "10.86.0.20",
      rangeEnd: "10.86.0.21",
      gateway: "10.86.0.254",
    }]];
    const config = hostLocal({}, { subnet: undefined, ranges });
    const { ips } = await lab.add({ config });
    assertEquals(ips[0], { interface: 2, address: "10.86.0.20/24", gateway: "10.86.0.254" });
    assertEquals(await lab.host.addresses("", "cni0"), ["10.86.0.254/24"]);
    assertEquals((await lab.add({ id: "c2", config })).ips[0].address, "10.86.0.21/24");
    await lab.refuse("ADD", { id: "c3", config }, 101, /10\.86\.0\.20 - 10\.86\.0\.21/);
  }),
  row("H2", "rangeStart with ranges and without subnet is ignored", async (lab) => {
    const config = hostLocal({}, {
      subnet: undefined,
      rangeStart: "1.2.3.4",
      ranges: [[{ subnet: "10.86.0.0/24" }]],
    });
    assertEquals((await lab.add({ config })).ips[0].address, "10.86.0.2/24");
  }),
  row("H5", "a gateway that no setting uses may be outside the subnet", async (lab) => {
    const config = hostLocal({ isGateway: false }, { gateway: "10.99.0.1" });
    const { ips } = await lab.add({ config });
    assertEquals(ips[0], { interface: 2, address: "10.86.0.1/24", gateway: "10.99.0.1" });
  }),
  row("H5 H4", "a gateway in the middle of the range is not allocated", async (lab) => {
    const config = hostLocal({}, {
      rangeStart: "10.86.0.5",
      rangeEnd: "10.86.0.7",
      gateway: "10.86.0.6",
    });
    assertEquals((await lab.add({ config })).ips[0].address, "10.86.0.5/24");
    assertEquals((await lab.add({ id: "c2", config })).ips[0].address, "10.86.0.7/24");
  }),
  row("H7 Q2", "dataDir below the state folder", async (lab) => {
    const config = hostLocal({}, { dataDir: `${STATE_FOLDER}/pool/` });
    await lab.add({ config });
    assertEquals(await lab.host.files(), ["./pool", "./pool/podnet.json", "./pool/podnet.lock"]);
    await lab.silent("DEL", { config });
  }),
  row(
    "H8 B18",
    "resolvConf inside the state folder, unless the configuration has dns",
    async (lab) => {
      await lab.host.sh(
        `printf '# x\\nnameserver 10.0.0.1\\n; y\\nnameserver 10.0.0.2\\ndomain a.b\\nsearch c.d e.f\\nsearch g.h\\noptions ndots:3 rotate\\nsortlist 1.2.3.4\\n' >${STATE_FOLDER}/resolv.conf`,
      );
      const resolvConf = `${STATE_FOLDER}/resolv.conf`;
      const { dns } = await lab.add({ config: hostLocal({}, { resolvConf }) });
      assertEquals(dns, {
        nameservers: ["10.0.0.1", "10.0.0.2"],
        domain: "a.b",
        search: ["c.d", "e.f", "g.h"],
        options: ["ndots:3", "rotate"],
      });
      const own = await lab.add({
        id: "c2",
        config: hostLocal({ dns: { domain: "z" } }, { resolvConf }),
      });
      assertEquals(own.dns, { domain: "z" });
      await lab.refuse(
        "ADD",
        { id: "c3", config: hostLocal({}, { resolvConf: `${resolvConf}.gone` }) },
        5,
        /resolv\.conf\.gone/,
      );
      await lab.host.sh(`ln -s /etc/passwd ${STATE_FOLDER}/link`);
      await lab.refuse(
        "ADD",
        { id: "c3", config: hostLocal({}, { resolvConf: `${STATE_FOLDER}/link` }) },
        5,
        /not a regular file/,
      );
      await lab.host.sh(`rm ${STATE_FOLDER}/resolv.conf ${STATE_FOLDER}/link`);
    },
  ),
  row("H10 Q5", "requested addresses that can't be allocated", async (lab) => {
    await lab.add({ config: hostLocal() });
    const asks = [["10.86.0.2", /"c1\/eth0" holds it/], ["10.86.0.1", /it is the gateway/], [
      "10.99.0.5",
      /outside 10\.86\.0\.0\/24/,
    ], ["10.86.0.255", /reserved/]] as const;
    for (const [ip, says] of asks) {
      await lab.refuse("ADD", { id: "c2", config: hostLocal(), args: `IP=${ip}` }, 102, says);
    }
  }),
  row("H12 P23", "a /29 filled, one address freed, wrap-around", async (lab) => {
    const config = hostLocal({}, { subnet: "10.86.0.0/29" });
    const given = [];
    for (const id of ["c1", "c2", "c3", "c4", "c5"]) {
      given.push((await lab.add({ id, config })).ips[0].address);
    }
    assertEquals(given, [2, 3, 4, 5, 6].map((it) => `10.86.0.${it}/29`));
    await lab.refuse("ADD", { id: "c6", config }, 101, /10\.86\.0\.1 - 10\.86\.0\.6/);
    await lab.silent("DEL", { id: "c3", config });
    assertEquals((await lab.add({ id: "c6", config })).ips[0].address, "10.86.0.4/29");
  }),
  row("H12", "a freed address is not the next one allocated", async (lab) => {
    await lab.add({ config: hostLocal() });
    await lab.silent("DEL", { config: hostLocal() });
    assertEquals((await lab.add({ config: hostLocal() })).ips[0].address, "10.86.0.3/24");
  }),
  row("H14", "DEL after the range was changed", async (lab) => {
    await lab.add({ config: hostLocal() });
    await lab.silent("DEL", {
      config: hostLocal({}, { rangeStart: "10.86.0.200", rangeEnd: "10.86.0.210" }),
    });
    await lab.host.assertNothingLeft();
  }),
  row("Q2", "the store is in the plugin's own folder", async (lab) => {
    await lab.add({ config: hostLocal() });
    assertEquals(await lab.host.files(), ["./podnet.json", "./podnet.lock"]);
  }),
  row("Q4", "the host veth's name is derived only from the attachment", async (lab) => {
    const { interfaces: [, first] } = await lab.add({ config: hostLocal() });
    await lab.silent("DEL", { config: hostLocal() });
    const { interfaces: [, second] } = await lab.add({ config: hostLocal() });
    assertEquals(first.name, second.name);
    assertMatch(first.name, /^av[0-9a-f]{13}$/);
  }),
];

export const BRIDGE: readonly Row[] = [...KEYS, ...POOL];
