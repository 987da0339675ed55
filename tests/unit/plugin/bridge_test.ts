import { assertEquals } from "@std/assert";
import { parseInterfaceAddress, parseIp } from "../../../lib/base/address.ts";
import { parseInterfaceName } from "../../../lib/base/names.ts";
import type { Link } from "../../../lib/netops.ts";
import { lostGateways, outages } from "../../../lib/plugin/bridge.ts";
import { config } from "./world.ts";

const ETH0 = parseInterfaceName("eth0");

Deno.test("outages() names what a bridge lacks, and nothing if it has the gateway with another prefix length", () => {
  const it = config();
  const gateway = "10.86.0.1";
  const bridge = (up: boolean, ...addresses: string[]) =>
    ({ up, addresses: addresses.map((text) => parseInterfaceAddress(text)) }) as unknown as Link;
  const found = (link: Link, ip: string) =>
    outages(it, link, [parseIp(ip)]).map((one) => one.found);
  const cut = (what: string) => `"${it.bridge}" ${what}, so it cuts its containers off`;
  assertEquals(found(bridge(true), "10.86.0.2"), [cut(`lacks ${gateway}/24`)]);
  assertEquals(found(bridge(true, `${gateway}/16`), "10.86.0.2"), []);
  assertEquals(found(bridge(true), "10.99.0.2"), []);
  assertEquals(found(bridge(false, `${gateway}/24`), "10.86.0.2"), [cut("is down")]);
  const [one] = outages(it, bridge(true), [parseIp("10.86.0.2")]);
  const command = `ip addr add ${gateway}/24 brd + dev ${it.bridge}`;
  assertEquals(one?.remedy, `${command}; then atomicni repair < CONFIGURATION`);
});

Deno.test("lostGateways() does not take containers that can't be read for correct ones", async () => {
  const ports = ["v1", "v2", "v3"].map((ifname) => ({ link: { ifname } as Link, ifname: ETH0 }));
  const kernel = {
    view: () =>
      Promise.resolve(
        ports.map(({ link }) => ({ link, inside: { netns: link.ifname, peer: { ifname: ETH0 } } })),
      ),
    pinInside: (netns: string) =>
      netns === "v3" ? Promise.resolve(true) : Promise.reject(new Error("no")),
  } as unknown as Parameters<typeof lostGateways>[1];
  const sample = { guarded: ports, bridgeMac: "02:00:00:00:00:01", sample: 2 };
  const lost = await lostGateways(config({ macspoofchk: true }), kernel, sample, false);
  assertEquals(lost.map(({ link, why }) => [link.ifname, why]), [
    ["v1", "no"],
    ["v2", "no"],
    ["v3", undefined],
  ]);
});
